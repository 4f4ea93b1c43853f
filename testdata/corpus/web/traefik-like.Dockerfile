FROM alpine:3.20
ARG TARGETARCH TARGETVARIANT
RUN apk add --no-cache ca-certificates tzdata
ADD --chmod=0755 https://downloads.example.org/proxy/v3.0.2/proxy_linux_${TARGETARCH}${TARGETVARIANT} /usr/local/bin/traefik
COPY entrypoint.sh /
EXPOSE 80 443 8080
ENTRYPOINT ["/entrypoint.sh"]
CMD ["traefik"]

LABEL org.opencontainers.image.vendor="Example Labs" \
	org.opencontainers.image.url="https://proxy.example.org" \
	org.opencontainers.image.source="https://git.example.org/proxy" \
	org.opencontainers.image.documentation="https://docs.example.org"
