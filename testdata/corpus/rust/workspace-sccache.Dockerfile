# syntax=docker/dockerfile:1
FROM rust:1.79-bookworm AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        cmake \
        libclang-dev \
        lld \
        mold \
        protobuf-compiler \
    && rm -rf /var/lib/apt/lists/*
ENV RUSTC_WRAPPER=/usr/local/bin/sccache \
    SCCACHE_DIR=/sccache \
    CARGO_INCREMENTAL=0 \
    RUSTFLAGS="-C linker=clang -C link-arg=-fuse-ld=mold"
COPY --from=registry.example.com/tools/sccache:0.8 /sccache /usr/local/bin/sccache

FROM base AS build
WORKDIR /ws
COPY --parents Cargo.toml Cargo.lock ./crates/*/Cargo.toml ./
COPY --parents ./crates/**/*.rs ./
RUN --mount=type=cache,id=sccache,target=/sccache,sharing=shared \
    --mount=type=secret,id=sccache_key,env=SCCACHE_KEY \
    cargo build --workspace --release --locked && sccache --show-stats
RUN mkdir /out && find target/release -maxdepth 1 -type f -perm -111 -exec cp -t /out {} +

FROM scratch AS artifacts
COPY --from=build /out/* /
