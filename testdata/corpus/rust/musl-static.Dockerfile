FROM --platform=$BUILDPLATFORM rust:1.79 AS build
ARG TARGETPLATFORM
RUN case "$TARGETPLATFORM" in \
      "linux/amd64") echo x86_64-unknown-linux-musl > /target.txt ;; \
      "linux/arm64") echo aarch64-unknown-linux-musl > /target.txt ;; \
      "linux/arm/v7") echo armv7-unknown-linux-musleabihf > /target.txt ;; \
      *) exit 1 ;; \
    esac
RUN rustup target add "$(cat /target.txt)"
WORKDIR /code
# an empty program, so that dependencies have a layer of their own
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() { println!("if you see this, the build is broken"); }' > src/main.rs \
    && cargo build --release --target "$(cat /target.txt)" \
    && rm -rf src target/*/release/deps/app*
COPY src src
RUN RUSTFLAGS='-C target-feature=+crt-static -C link-arg=-s' cargo build --release --target "$(cat /target.txt)" \
    && cp "target/$(cat /target.txt)/release/app" /app

FROM scratch
COPY --from=build --chmod=0555 /app /app
STOPSIGNAL 2
ENTRYPOINT ["/app"]
