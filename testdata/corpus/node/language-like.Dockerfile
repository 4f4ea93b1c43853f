# A run time for JavaScript: the project's build where there is one, otherwise compiled.
FROM alpine:3.20
ENV RELEASE=20.15.0
RUN adduser -D -u 1000 node && apk add --no-cache libstdc++
RUN set -eu; \
    url=https://dist.example.org/v$RELEASE; \
    apk add --no-cache --virtual .tools curl xz; \
    case "$(uname -m)" in \
      x86_64) \
        curl -fsSL "$url/musl-x64.tar.xz" -o r.tar.xz; \
        echo "a7e5d9c8c2a8f5f2b6c3f0d1e8a9b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0  r.tar.xz" | sha256sum -c; \
        tar -xJf r.tar.xz -C /usr/local --strip-components=1; \
        rm r.tar.xz \
        ;; \
      *) \
# this takes an hour
        apk add --no-cache --virtual .compiler g++ linux-headers make python3; \
        curl -fsSL "$url/source.tar.xz" | tar -xJ -C /tmp; \
        ( cd /tmp/node-* && ./configure --without-inspector && make -j"$(nproc)" install ); \
        apk del .compiler; \
        rm -rf /tmp/node-* \
        ;; \
    esac; \
    apk del .tools; \
    node -e 'console.log(`node ${process.version} with ${process.versions.v8}`)'
CMD [ "node" ]
