FROM alpine:3.20
RUN apk add --no-cache dcron libcap postgresql16-client && setcap cap_setgid=ep /usr/sbin/crond
COPY <<"EOF" /etc/crontabs/root
# min hour day month weekday command
*/5 * * * * /usr/local/bin/ping.sh >> /proc/1/fd/1 2>&1
0 3 * * 0   pg_dump "$DATABASE_URL" | gzip > "/backup/$(date +\%F).sql.gz"
EOF
COPY --chmod=u=rwx,go=rx *.sh /usr/local/bin/
VOLUME /backup
CMD ["crond", "-f", "-l", "2"]
