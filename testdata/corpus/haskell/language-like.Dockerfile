FROM debian:bookworm-slim
ENV LANG C.UTF-8
ARG GHC=9.6.5
ARG STACK=2.15.7
ARG CABAL_INSTALL=3.10.3.0
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates curl g++ git gnupg libgmp-dev libncurses-dev libtinfo-dev make xz-utils zlib1g-dev && \
    rm -rf /var/lib/apt/lists/*
RUN set -eux; \
    cd /tmp; \
    ARCH="$(dpkg-architecture --query DEB_BUILD_GNU_CPU 2>/dev/null || uname -m)"; \
    # each release has its own place and its own sum
    case "$ARCH" in \
        'aarch64') \
            SUM='1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d'; \
            # needed by LLVM's linker
            apt-get update; apt-get install -y lld; \
            ;; \
        'x86_64') \
            SUM='2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e'; \
            ;; \
        *) echo >&2 "error: unsupported architecture '$ARCH'" ; exit 1 ;; \
    esac; \
    curl -sSL "https://downloads.example.org/ghc-$GHC-$ARCH.tar.xz" -o ghc.tar.xz; \
    echo "$SUM  ghc.tar.xz" | sha256sum -c -; \
    tar xf ghc.tar.xz; cd "ghc-$GHC-$ARCH"; \
    ./configure --prefix "/opt/ghc/$GHC"; \
    make install; \
    rm -rf /tmp/*; \
    "/opt/ghc/$GHC/bin/ghc" --version
ENV PATH=/root/.cabal/bin:/root/.local/bin:/opt/ghc/${GHC}/bin:$PATH
CMD ["ghci"]
