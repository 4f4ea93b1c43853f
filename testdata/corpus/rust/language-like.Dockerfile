FROM alpine:3.20
RUN apk add --no-cache ca-certificates gcc musl-dev
ENV RUSTUP_HOME=/opt/rustup \
    CARGO_HOME=/opt/cargo \
    PATH=/opt/cargo/bin:$PATH \
    CHANNEL=1.79.0
RUN set -eux; \
    host="$(apk --print-arch)-unknown-linux-musl"; \
    wget -q "https://static.example.org/rustup/1.27.1/$host/rustup-init"; \
    wget -q -O - "https://static.example.org/rustup/1.27.1/$host/rustup-init.sha256" \
      | sed "s|[^ ]*$|rustup-init|" | sha256sum -c -; \
    chmod +x rustup-init; \
    ./rustup-init -y -q --no-modify-path --profile minimal --default-toolchain "$CHANNEL" --default-host "$host"; \
    rm rustup-init; \
    find "$RUSTUP_HOME" "$CARGO_HOME" -type d -exec chmod a+w {} +; \
    for tool in rustup cargo rustc; do "$tool" --version; done
