FROM dunglas/frankenphp:1-php8.3 AS common
RUN install-php-extensions apcu intl pdo_pgsql @composer
WORKDIR /srv
ENV SERVER_NAME=:80 PHP_INI_SCAN_DIR=":/srv/ini"
COPY --link docker/ini/ ini/
COPY --link --chmod=a+x docker/start /usr/local/bin/
VOLUME /srv/var
ENTRYPOINT ["start"]

FROM common AS development
ENV APP_ENV=dev
RUN install-php-extensions xdebug && cp "$PHP_INI_DIR"/php.ini-development "$PHP_INI_DIR"/php.ini || :
CMD [ "frankenphp", "php-server", "--watch" ]

FROM common AS production
ENV APP_ENV=prod FRANKENPHP_CONFIG="worker ./public/index.php 8"
COPY --link composer.json composer.lock ./
RUN --mount=type=cache,target=/root/.composer composer install --no-dev --no-scripts --prefer-dist
COPY --link --exclude=docker/ --exclude=tests/ . .
RUN composer dump-autoload --classmap-authoritative && php bin/console cache:warmup
HEALTHCHECK --start-period=30s --start-interval=1s CMD ["curl", "-f", "http://localhost:2019/config/"]
CMD [ "frankenphp", "php-server" ]
