FROM php:8.2-apache
RUN set -ex; \
	keep="$(apt-mark showmanual)"; \
	apt-get update; apt-get install -y --no-install-recommends ghostscript libjpeg-dev libpng-dev libzip-dev; \
	docker-php-ext-configure gd --with-jpeg; \
	docker-php-ext-install -j "$(nproc)" exif gd mysqli zip; \
# an extension that cannot be loaded only warns: look at stderr, which changes places with stdout
	noise="$(php -r '' 3>&1 1>&2 2>&3)"; test -z "$noise"; \
	! ldd "$(php -r 'echo ini_get("extension_dir");')"/*.so | grep 'not found'; \
	apt-mark auto '.*' > /dev/null; apt-mark manual $keep ghostscript libjpeg62-turbo libpng16-16 libzip4; \
	apt-get purge -y --auto-remove; rm -rf /var/lib/apt/lists/*
RUN a2enmod expires remoteip rewrite \
 && sed -ri 's/(LogFormat "[^"]*)%h/\1%a/' /etc/apache2/apache2.conf
COPY <<'INI' /usr/local/etc/php/conf.d/blog.ini
error_reporting = E_ALL & ~E_DEPRECATED
log_errors = On
error_log = /dev/stderr
INI
ADD --chown=www-data:www-data --unpack https://downloads.example.org/blog-6.5.4.tar.gz /var/www/
COPY --chown=www-data:www-data settings.php /var/www/html/
VOLUME /var/www/html/uploads
CMD ["apache2-foreground"]
