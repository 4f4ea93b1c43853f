FROM node:lts AS runtime-build
WORKDIR /app
COPY . .
RUN --mount=type=cache,target=/root/.npm <<EOF
set -e
npm ci
npm run build -- --site "${SITE:-https://www.example.org}"
find dist -name '*.html' | while read -r page; do
	grep -q '<title>' "$page" || { echo "no title: $page" >&2; exit 1; }
done
EOF

FROM caddy:2-alpine
COPY --from=runtime-build /app/dist /srv
COPY <<"EOF" /etc/caddy/Caddyfile
:80

root * /srv
encode gzip
handle_errors {
	rewrite * /{err.status_code}.html
	file_server
}
file_server
EOF
