FROM alpine:3.20
ENV NODE_RELEASE 20.15.0
RUN addgroup -g 1000 node && adduser -u 1000 -G node -s /bin/sh -D node \
    && apk add --no-cache libstdc++ \
    && apk add --no-cache --virtual .fetch curl \
    && case "$(apk --print-arch)" in \
      x86_64) \
        NODE_ARCH='x64' \
        SUM="a7e5d9c8c2a8f5f2b6c3f0d1e8a9b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0" \
        ;; \
      *) ;; \
    esac \
  && if [ -n "${SUM}" ]; then \
      set -eu; \
      curl -fsSLO --compressed "https://unofficial.example.org/node-v$NODE_RELEASE-linux-$NODE_ARCH-musl.tar.xz"; \
      echo "$SUM  node-v$NODE_RELEASE-linux-$NODE_ARCH-musl.tar.xz" | sha256sum -c - \
      && tar -xJf "node-v$NODE_RELEASE-linux-$NODE_ARCH-musl.tar.xz" -C /usr/local --strip-components=1 --no-same-owner; \
    else \
      echo "from source" \
      && apk add --no-cache --virtual .build g++ linux-headers make python3 \
      && curl -fsSL "https://dist.example.org/node-v$NODE_RELEASE.tar.xz" | tar -xJ \
      && cd "node-v$NODE_RELEASE" && ./configure && make -j$(getconf _NPROCESSORS_ONLN) V= && make install \
      && apk del .build; \
    fi \
  && rm -f /node-* \
  && apk del .fetch \
  && node --version && npm --version

COPY docker-entrypoint.sh /usr/local/bin/
ENTRYPOINT ["docker-entrypoint.sh"]
CMD [ "node" ]
