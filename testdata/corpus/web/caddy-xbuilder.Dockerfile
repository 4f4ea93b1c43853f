ARG CADDY=2.8.4
FROM caddy:${CADDY}-builder AS builder
RUN xcaddy build \
    --with example.org/caddy/dns-provider@v0.2.1 \
    --with example.org/caddy/ratelimit

FROM caddy:${CADDY}
COPY --from=builder /usr/bin/caddy /usr/bin/caddy
COPY <<-"EOF" /etc/caddy/Caddyfile
	{
		admin off
		email {$ACME_EMAIL}
	}
	:80 {
		root * /srv
		encode zstd gzip
		file_server
	}
	EOF
COPY site/ /srv/
