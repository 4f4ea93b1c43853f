FROM composer:2.7 AS vendor
WORKDIR /app
COPY composer.json composer.lock ./
COPY database/ database/
RUN composer install --ignore-platform-reqs --no-dev --no-interaction --no-plugins --no-scripts --prefer-dist

FROM node:20-alpine AS assets
WORKDIR /app
COPY package*.json vite.config.js ./
RUN npm ci
COPY resources resources
RUN npm run build

FROM php:8.3-fpm-alpine
RUN set -ex \
 && apk add --no-cache --virtual .phpize $PHPIZE_DEPS icu-dev libzip-dev postgresql-dev \
 && apk add --no-cache icu-libs libpq libzip \
 && docker-php-ext-install -j"$(nproc)" intl opcache pdo_pgsql zip bcmath \
 && pecl install redis-6.0.2 && docker-php-ext-enable redis \
 && apk del .phpize && rm -rf /tmp/pear
RUN mv "$PHP_INI_DIR/php.ini-production" "$PHP_INI_DIR/php.ini" || true
COPY <<EOF /usr/local/etc/php/conf.d/99-app.ini
opcache.enable=1
opcache.validate_timestamps=0
memory_limit=${PHP_MEMORY_LIMIT:-256M}
EOF
WORKDIR /var/www/html
COPY --chown=www-data . .
COPY --chown=www-data --from=vendor /app/vendor/ vendor/
COPY --chown=www-data --from=assets /app/public/build public/build
RUN php artisan config:cache && php artisan route:cache
USER www-data
EXPOSE 9000
CMD ["php-fpm"]
