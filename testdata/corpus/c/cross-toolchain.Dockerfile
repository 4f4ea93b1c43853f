FROM debian:bookworm
ENV DEBIAN_FRONTEND=noninteractive
RUN set -eux; \
    for arch in arm64 armhf i386 ppc64el s390x riscv64; do \
        dpkg --add-architecture "$arch" || :; \
    done; \
    apt-get update; \
    apt-get install -y --no-install-recommends \
        # compilers
        crossbuild-essential-arm64 crossbuild-essential-armhf \
        gcc-i686-linux-gnu gcc-powerpc64le-linux-gnu \
        gcc-s390x-linux-gnu gcc-riscv64-linux-gnu \

        # emulators (a blank line above, on purpose)
        qemu-user-static binfmt-support \
        # tools
        cmake make pkgconf; \
    rm -rf /var/lib/apt/lists/*
COPY toolchains/*.cmake /opt/toolchains/
ENV CMAKE_TOOLCHAIN_FILE=/opt/toolchains/${DEFAULT_TARGET:-aarch64}.cmake
ENTRYPOINT ["/bin/bash", "-c", "cmake -B build \"$@\" && cmake --build build", "--"]
