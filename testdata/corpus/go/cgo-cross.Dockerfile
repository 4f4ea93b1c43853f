# syntax=docker/dockerfile:1.6
# cgo with a cross compiler: the tool chain is chosen by a stage name that holds the architecture
FROM --platform=$BUILDPLATFORM golang:1.22-bookworm AS base
WORKDIR /src
RUN apt-get update && apt-get install -y --no-install-recommends pkg-config && rm -rf /var/lib/apt/lists/*

FROM base AS cc-amd64
RUN dpkg --add-architecture amd64 && apt-get update && apt-get install -y gcc-x86-64-linux-gnu libsqlite3-dev:amd64
ENV CC=x86_64-linux-gnu-gcc

FROM base AS cc-arm64
RUN dpkg --add-architecture arm64 && apt-get update && apt-get install -y gcc-aarch64-linux-gnu libsqlite3-dev:arm64
ENV CC=aarch64-linux-gnu-gcc

FROM base AS cc-arm
RUN dpkg --add-architecture armhf && apt-get update && apt-get install -y gcc-arm-linux-gnueabihf libsqlite3-dev:armhf
ENV CC=arm-linux-gnueabihf-gcc

FROM cc-${TARGETARCH} AS build
ARG TARGETOS
ARG TARGETARCH
ARG TARGETVARIANT
ENV CGO_ENABLED=1 GOOS=$TARGETOS GOARCH=$TARGETARCH GOARM=${TARGETVARIANT#v}
RUN --mount=target=. --mount=type=cache,target=/root/.cache,sharing=locked \
    go build -tags "libsqlite3 linux" -o /out/app . && file /out/app || true

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libsqlite3-0 ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/app /usr/local/bin/app
CMD ["app"]
