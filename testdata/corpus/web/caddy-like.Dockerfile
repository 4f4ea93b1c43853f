FROM alpine:3.20
RUN apk add --no-cache ca-certificates libcap mailcap
ENV SERVER_VERSION v2.8.4
RUN set -eux; \
	machine="$(uname -m)"; \
	case "$machine" in \
		x86_64)  file="linux_amd64"; sum='9c3b7e3e9a7b0a8f' ;; \
		armv7*)  file="linux_armv7"; sum='8b2a5d1c6c9c5f61' ;; \
		aarch64) file="linux_arm64"; sum='7a1d4c0b5b8b4e50' ;; \
		*)       echo "cannot run on $machine" >&2; false ;;\
	esac; \
	wget -q -O /tmp/a.tgz "https://downloads.example.org/${SERVER_VERSION}/caddy_${SERVER_VERSION#v}_${file}.tar.gz"; \
	sha256sum /tmp/a.tgz | grep -q "^$sum"; \
	tar -xzf /tmp/a.tgz -C /usr/local/bin caddy && rm /tmp/a.tgz; \
	setcap 'cap_net_bind_service=+ep' /usr/local/bin/caddy

ENV XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data
LABEL org.opencontainers.image.title=Caddy
LABEL org.opencontainers.image.description="a web server that gets its own certificates"
LABEL org.opencontainers.image.version=$SERVER_VERSION
EXPOSE 80
EXPOSE 443
EXPOSE 443/udp
WORKDIR /srv
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile"]
