FROM alpine:3.20

RUN set -eux; \
	addgroup -g 70 -S postgres; \
	adduser -u 70 -S -D -G postgres -H -h /var/lib/postgresql -s /bin/sh postgres; \
	install --verbose --directory --owner postgres --group postgres --mode 1777 /var/lib/postgresql

ENV LANG en_US.utf8
ENV PG_VERSION 16.3
ENV PG_SHA256 331963d5d3dc4caf4216a049fa40b66d6bcb8c730615859411b9518764e60585

RUN set -eux; \
	wget -O postgresql.tar.bz2 "https://ftp.example.org/source/v$PG_VERSION/postgresql-$PG_VERSION.tar.bz2"; \
	echo "$PG_SHA256 *postgresql.tar.bz2" | sha256sum -c -; \
	mkdir -p /usr/src/postgresql; \
	tar \
		--extract \
		--file postgresql.tar.bz2 \
		--directory /usr/src/postgresql \
		--strip-components 1 \
	; \
	rm postgresql.tar.bz2; \
	\
	apk add --no-cache --virtual .build-deps \
		bison \
		flex \
		coreutils \
		gcc \
		icu-dev \
		libc-dev \
		libxml2-dev \
		linux-headers \
		make \
		openssl-dev \
		perl-utils \
		util-linux-dev \
		zlib-dev \
# https for extensions that fetch at install time
		ca-certificates \
	; \
	\
	cd /usr/src/postgresql; \
# use the directory that everything else expects
	awk '$1 == "#define" && $2 == "DEFAULT_PGSOCKET_DIR" && $3 == "\"/tmp\"" { $3 = "\"/var/run/postgresql\""; print; next } { print }' src/include/pg_config_manual.h > new.h; \
	grep '/var/run/postgresql' new.h; \
	mv new.h src/include/pg_config_manual.h; \
	gnuArch="$(gcc -dumpmachine)"; \
	./configure --build="$gnuArch" --enable-integer-datetimes --enable-thread-safety --prefix=/usr/local --with-icu --with-openssl; \
	make -j "$(nproc)" world-bin; \
	make install-world-bin; \
	\
	runDeps="$( \
		scanelf --needed --nobanner --format '%n#p' --recursive /usr/local \
			| tr ',' '\n' \
			| sort -u \
			| awk 'system("[ -e /usr/local/lib/" $1 " ]") == 0 { next } { print "so:" $1 }' \
	)"; \
	apk add --no-cache --virtual .postgresql-rundeps $runDeps bash su-exec tzdata zstd; \
	apk del --no-network .build-deps; \
	cd /; \
	rm -rf /usr/src/postgresql /usr/local/share/doc /usr/local/share/man; \
	postgres --version

RUN install --verbose --directory --owner postgres --group postgres --mode 3777 /var/run/postgresql
ENV PGDATA=/var/lib/postgresql/data
RUN mkdir -p "$PGDATA" && chown -R postgres:postgres "$PGDATA" && chmod 1777 "$PGDATA"
VOLUME ["/var/lib/postgresql/data"]
COPY --chmod=0755 docker-entrypoint.sh /usr/local/bin/
ENTRYPOINT ["docker-entrypoint.sh"]
STOPSIGNAL SIGINT
EXPOSE 5432
CMD ["postgres"]
