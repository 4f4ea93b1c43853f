FROM php:8.2-apache
# persistent dependencies
RUN set -eux; apt-get update; apt-get install -y --no-install-recommends ghostscript; rm -rf /var/lib/apt/lists/*
RUN set -ex; \
	before="$(apt-mark showmanual)"; \
	apt-get update && apt-get install -y --no-install-recommends libfreetype6-dev libjpeg-dev libpng-dev libwebp-dev libzip-dev; \
	docker-php-ext-configure gd --with-freetype --with-jpeg --with-webp; \
	docker-php-ext-install -j "$(nproc)" bcmath exif gd mysqli zip; \
# fail if something printed to stdout, such as a warning on load
	out="$(php -r 'exit(0);')"; [ -z "$out" ]; \
	err="$(php -r 'exit(0);' 3>&1 1>&2 2>&3)"; [ -z "$err" ]; \
	dir="$(php -r 'echo ini_get("extension_dir");')"; [ -d "$dir" ]; \
	apt-mark auto '.*' > /dev/null; apt-mark manual $before; \
	apt-get purge -y --auto-remove; rm -rf /var/lib/apt/lists/*; \
	! { ldd "$dir"/*.so | grep 'not found'; }
RUN { \
		echo 'opcache.memory_consumption=128'; \
		echo 'opcache.max_accelerated_files=4000'; \
	} > /usr/local/etc/php/conf.d/opcache.ini
RUN a2enmod rewrite expires remoteip; \
	{ echo 'RemoteIPHeader X-Forwarded-For'; echo 'RemoteIPInternalProxy 10.0.0.0/8'; } > /etc/apache2/conf-available/remoteip.conf; \
	a2enconf remoteip; \
	find /etc/apache2 -type f -name '*.conf' -exec sed -ri 's/([[:space:]]*LogFormat[[:space:]]+"[^"]*)%h([^"]*")/\1%a\2/g' '{}' +
ADD https://downloads.example.org/blog-6.5.4.tar.gz /usr/src/blog.tar.gz
VOLUME /var/www/html
COPY --chown=www-data:www-data wp-config-docker.php /usr/src/blog/
COPY docker-entrypoint.sh /usr/local/bin/
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["apache2-foreground"]
