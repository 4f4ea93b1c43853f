FROM alpine:3.20 AS toolchain
ARG CHANNEL=1.79.0
ENV RUSTUP_HOME=/opt/rustup CARGO_HOME=/opt/cargo
WORKDIR /tmp
RUN set -eux; \
    triple="$(uname -m)-unknown-linux-musl"; \
    for file in rustup-init rustup-init.sha256; do wget -q "https://static.example.org/$triple/$file"; done; \
    cut -d ' ' -f 1 rustup-init.sha256 | sed 's/$/  rustup-init/' | sha256sum -c; \
    sh -c 'chmod 755 "$1"; shift; ./rustup-init "$@"' - rustup-init -y --profile minimal --default-toolchain "$CHANNEL" --no-modify-path; \
    rm -rf rustup-init* "$RUSTUP_HOME"/toolchains/*/share/doc

FROM alpine:3.20
RUN apk add --no-cache gcc musl-dev
ENV RUSTUP_HOME=/opt/rustup CARGO_HOME=/opt/cargo PATH=/opt/cargo/bin:$PATH
COPY --link --from=toolchain --chmod=a+w /opt /opt
RUN for tool in cargo rustc rustup; do "$tool" --version; done
