# An in-memory store compiled from a release, on a slim base.
FROM debian:bookworm-slim AS compile
ARG RELEASE=7.2.5
ARG SUM=5981179706f8391f03be91d951acafaeda91af7fac56beffb2701963103e423d
RUN apt-get update && apt-get install -y --no-install-recommends build-essential libssl-dev pkg-config
ADD --checksum=sha256:${SUM} https://downloads.example.org/store-${RELEASE}.tar.gz /tmp/store.tar.gz
RUN set -eu; \
    mkdir /src && cd /src; \
    tar --strip-components=1 -xf /tmp/store.tar.gz; \
    # large pages differ by machine: the allocator must be told at build time
    page=$(getconf PAGE_SIZE); \
    shift_bits=0; while [ $((1<<shift_bits)) -lt "$page" ]; do shift_bits=$((shift_bits + 1)); done; \
    make -j"$(nproc)" \
        BUILD_TLS=yes \
        MALLOC=jemalloc \
        JEMALLOC_CONFIGURE_OPTS="--with-lg-page=$shift_bits" \
        PREFIX=/out \
        install; \
    for tool in check-aof check-rdb sentinel; do \
        ln -sf redis-server "/out/bin/redis-$tool"; \
    done; \
    strip /out/bin/redis-server /out/bin/redis-cli

FROM debian:bookworm-slim
RUN groupadd -r -g 6379 redis && useradd -r -u 6379 -g redis -d /data redis \
 && apt-get update && apt-get install -y --no-install-recommends libssl3 tzdata && rm -rf /var/lib/apt/lists/*
COPY --from=compile /out/bin/ /usr/local/bin/
WORKDIR /data
RUN chown redis:redis .
VOLUME ["/data"]
USER redis:redis
EXPOSE 6379
HEALTHCHECK CMD ["redis-cli", "ping"]
ENTRYPOINT ["redis-server"]
CMD ["--save", "", "--appendonly", "yes"]
