# syntax=docker/dockerfile:1
FROM --platform=$BUILDPLATFORM alpine:3.20 AS zig
ARG BUILDARCH
ARG ZIG=0.13.0
RUN <<EOF
set -eu
case $BUILDARCH in
amd64) a=x86_64;;
arm64) a=aarch64;;
esac
wget -qO- "https://dl.example.org/zig-linux-$a-$ZIG.tar.xz" | tar -xJ -C /opt
ln -s /opt/zig-linux-$a-$ZIG/zig /usr/local/bin/zig
EOF

FROM zig AS build
ARG TARGETOS TARGETARCH TARGETVARIANT
WORKDIR /p
COPY build.zig build.zig.zon ./
COPY src ./src
RUN --mount=type=cache,target=/root/.cache/zig,sharing=private <<'EOF'
target="$TARGETARCH"
case "$target$TARGETVARIANT" in
  amd64*) target=x86_64-linux-musl ;;
  arm64*) target=aarch64-linux-musl ;;
  armv7)  target=arm-linux-musleabihf ;;
esac
zig build -Dtarget="$target" -Doptimize=ReleaseSafe --prefix /out
EOF

FROM scratch
COPY --from=build /out/bin/app /app
CMD ["/app"]
