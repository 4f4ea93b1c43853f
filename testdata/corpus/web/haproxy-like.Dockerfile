FROM debian:bookworm-slim AS build
ENV SOURCE=https://www.example.org/haproxy-3.0.2.tar.gz \
    SOURCE_SUM=9672ee43b109f19356c35d72687b222dcf82b879360c6e82677397376cf5dc36
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev liblua5.4-dev libpcre2-dev libssl-dev make wget ca-certificates
RUN set -eux; \
	wget -O /tmp/source.tgz "$SOURCE"; \
	echo "$SOURCE_SUM  /tmp/source.tgz" | sha256sum --check; \
	mkdir /src; tar -xf /tmp/source.tgz -C /src --strip-components 1; \
	settings=' \
		TARGET=linux-glibc \
		USE_LUA=1 LUA_INC=/usr/include/lua5.4 \
		USE_OPENSSL=1 USE_QUIC=1 \
		USE_PCRE2=1 \
		EXTRAVERSION="+local" \
	'; \
# "eval" for the quotes in $settings
	eval "make -C /src -j $(nproc) $settings all"; \
	eval "make -C /src $settings DESTDIR=/out PREFIX=/usr/local install-bin"; \
	cp -r /src/examples/errorfiles /out/usr/local/etc-errors

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends liblua5.4-0 libpcre2-8-0 libssl3 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --user-group --uid 99 --home-dir /run/haproxy --create-home haproxy
COPY --from=build /out/ /
# current connections end in peace
STOPSIGNAL SIGUSR1
USER haproxy
WORKDIR /run/haproxy
ENTRYPOINT ["haproxy", "-W", "-db"]
CMD ["-f", "/usr/local/etc/haproxy.cfg"]
