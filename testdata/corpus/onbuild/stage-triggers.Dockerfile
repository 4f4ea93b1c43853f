# syntax=docker/dockerfile:1
# Triggers of a stage fire in stages built on it, in the same file too.
FROM alpine:3.20 AS template
ONBUILD ARG SERVICE=default
ONBUILD LABEL com.example.service=$SERVICE
ONBUILD COPY --chown=1000:1000 config/${SERVICE}.toml /etc/service.toml
ONBUILD RUN <<EOF
set -e
test -s /etc/service.toml
echo "ready: $SERVICE"
EOF
ONBUILD COPY --from=assets /www /srv/www
ONBUILD USER 1000

FROM alpine:3.20 AS assets
RUN mkdir /www && echo hello > /www/index.html

FROM template AS service
CMD ["service", "--config", "/etc/service.toml"]
