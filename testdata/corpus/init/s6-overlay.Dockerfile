FROM alpine:3.20
ARG S6=3.2.0.0
ARG TARGETARCH
ADD https://downloads.example.org/s6/v${S6}/s6-overlay-noarch.tar.xz /tmp/
ADD https://downloads.example.org/s6/v${S6}/s6-overlay-x86_64.tar.xz /tmp/
RUN apk add --no-cache nginx php83-fpm xz \
 && for f in /tmp/s6-overlay-*.tar.xz; do tar -C / -Jxpf "$f"; rm "$f"; done
COPY --chmod=755 <<EOF /etc/s6-overlay/s6-rc.d/nginx/run
#!/command/execlineb -P
nginx -g "daemon off;"
EOF
COPY --chmod=755 <<EOF /etc/s6-overlay/s6-rc.d/php/run
#!/command/with-contenv sh
exec php-fpm83 -F
EOF
RUN cd /etc/s6-overlay/s6-rc.d && for s in nginx php; do echo longrun > $s/type; mkdir -p user/contents.d; touch user/contents.d/$s; done
ENV S6_KEEP_ENV=1 S6_BEHAVIOUR_IF_STAGE2_FAILS=2 S6_CMD_WAIT_FOR_SERVICES_MAXTIME=0
EXPOSE 80
ENTRYPOINT ["/init"]
