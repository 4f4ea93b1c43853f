FROM nginx:1.27
ARG UPSTREAM=app:8080
COPY <<EOF /etc/nginx/templates/default.conf.template
upstream backend {
  server ${UPSTREAM%%:*}:${UPSTREAM##*:};
}
server {
  listen \${NGINX_PORT};
  location / {
    proxy_pass http://backend;
    proxy_set_header Host \$host;
    proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
    if (\$request_method !~ ^(GET|POST)\$) { return 405; }
  }
}
EOF
ENV NGINX_PORT=80
HEALTHCHECK --interval=1m --timeout=2s --retries=2 CMD curl -fsS "http://localhost:${NGINX_PORT}/" -o /dev/null || exit 1
