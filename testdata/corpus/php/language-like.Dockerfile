FROM alpine:3.20
ENV PHPIZE_DEPS \
		autoconf \
		dpkg-dev dpkg \
		file \
		g++ \
		make \
		re2c
ENV PHP_ETC /usr/local/etc/php
RUN set -eux; adduser -u 82 -D -S -G www-data www-data || true; \
	mkdir -p "$PHP_ETC/conf.d"; \
	install -d -o www-data -m 1777 /var/www/html
# hardening flags, see the compiler's manual
ENV PHP_CFLAGS="-fstack-protector-strong -fpic -fpie -O2 -D_LARGEFILE_SOURCE"
ENV PHP_CPPFLAGS="$PHP_CFLAGS"
ENV PHP_LDFLAGS="-Wl,-O1 -pie"
ENV PHP_RELEASE 8.3.8
RUN set -eux; \
	apk add --no-cache --virtual .build $PHPIZE_DEPS bison curl-dev libxml2-dev oniguruma-dev openssl-dev readline-dev sqlite-dev; \
	export CFLAGS="$PHP_CFLAGS" CPPFLAGS="$PHP_CPPFLAGS" LDFLAGS="$PHP_LDFLAGS"; \
	wget -qO- "https://www.example.org/distributions/php-$PHP_RELEASE.tar.gz" | tar -xz -C /tmp; \
	cd "/tmp/php-$PHP_RELEASE"; \
	./configure \
		--with-config-file-path="$PHP_ETC" \
		--with-config-file-scan-dir="$PHP_ETC/conf.d" \
		--enable-option-checking=fatal \
		--with-curl --with-openssl --with-readline --with-zlib \
# bundled and needed by everyone
		--enable-mbstring \
		--enable-fpm --with-fpm-user=www-data --with-fpm-group=www-data \
		${EXTRA_CONFIGURE:-} \
	; \
	make -j "$(nproc)"; find -type f -name '*.a' -delete; make install; \
	cd /; rm -r /tmp/php-*; \
	libs="$(scanelf -nBR --format '%n#p' /usr/local | tr ',' '\n' | sort -u | sed 's/^/so:/')"; \
	apk add --no-cache $libs; apk del .build; php --version
COPY docker-php-ext-* docker-php-entrypoint /usr/local/bin/
ENTRYPOINT ["docker-php-entrypoint"]
WORKDIR /var/www/html
STOPSIGNAL SIGQUIT
EXPOSE 9000
CMD ["php-fpm", "-F"]
