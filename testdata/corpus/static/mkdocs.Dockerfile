FROM squidfunk/mkdocs-material:9.5 AS docs
WORKDIR /docs
COPY mkdocs.yml .
COPY docs docs
COPY overrides overrides
RUN mkdocs build --strict --site-dir /site
FROM nginxinc/nginx-unprivileged:alpine
COPY --from=docs --chown=101:101 /site /usr/share/nginx/html
