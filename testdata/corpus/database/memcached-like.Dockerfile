FROM alpine:3.20 AS build
ARG MEMCACHED_VERSION=1.6.28
RUN apk add --no-cache build-base libevent-dev openssl-dev perl
WORKDIR /src
ADD --checksum=sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0 \
    https://files.example.org/memcached-1.6.28.tar.gz ./
RUN tar xzf memcached-${MEMCACHED_VERSION}.tar.gz --strip-components=1 && \
    ./configure --enable-tls --enable-extstore && \
    nproc="$(nproc)" && make -j "$nproc" && \
    make install DESTDIR=/out

FROM alpine:3.20
RUN addgroup -g 11211 -S memcache && adduser -D -u 11211 -G memcache memcache \
 && apk add --no-cache libevent libssl3
COPY --from=build /out/usr/local/bin/memcached /usr/local/bin/memcached
USER memcache
EXPOSE 11211/tcp 11211/udp
ENTRYPOINT ["memcached"]
CMD ["-m", "64", "-c", "1024"]
