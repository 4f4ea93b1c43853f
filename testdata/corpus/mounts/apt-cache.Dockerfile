# syntax=docker/dockerfile:1
FROM ubuntu:24.04
RUN rm -f /etc/apt/apt.conf.d/docker-clean; \
    echo 'Binary::apt::APT::Keep-Downloaded-Packages "true";' > /etc/apt/apt.conf.d/keep-cache
ARG TARGETARCH
RUN --mount=type=cache,target=/var/cache/apt,id=apt-cache-$TARGETARCH,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,id=apt-lib-$TARGETARCH,sharing=locked \
    --mount=type=tmpfs,target=/var/log \
    apt-get update && apt-get --no-install-recommends install -y gcc libc6-dev make
COPY . /src
RUN --mount=type=cache,target=/src/obj,mode=0755 make -C /src
