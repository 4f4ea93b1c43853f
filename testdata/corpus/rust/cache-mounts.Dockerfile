# syntax=docker/dockerfile:1
ARG RUST=1.79.0
ARG BINARY=ledger

FROM rust:${RUST}-alpine AS compile
ARG BINARY
RUN apk add --no-cache lld musl-dev
WORKDIR /ledger
RUN --mount=type=bind,target=/ledger,rw \
    --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/usr/local/cargo/git/db,sharing=locked \
    --mount=type=cache,target=/target,id=target-${TARGETARCH:-host} \
    <<EOF
set -e
cargo build --locked --release --target-dir /target --bin $BINARY
install -D -m 0755 /target/release/$BINARY /out/$BINARY
EOF

FROM alpine:3.20
ARG BINARY
RUN adduser -D -H -s /sbin/nologin -u 4711 ledger
COPY --from=compile /out/${BINARY} /usr/bin/ledger
USER ledger
EXPOSE 8000
CMD ["ledger", "serve"]
