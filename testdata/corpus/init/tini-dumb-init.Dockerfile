FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends dumb-init tini && rm -rf /var/lib/apt/lists/*
COPY --chmod=0555 <<'EOF' /usr/local/bin/entry
#!/bin/sh
set -e
# first argument looks like an option: prepend the program
case "$1" in
  -*) set -- server "$@" ;;
esac
if [ "$(id -u)" = 0 ]; then
  find /data \! -user app -exec chown app '{}' +
  exec setpriv --reuid=app --regid=app --init-groups "$0" "$@"
fi
exec "$@"
EOF
RUN useradd -r app && install -d -o app /data
VOLUME /data
ENTRYPOINT ["/usr/bin/dumb-init", "--rewrite", "15:2", "--", "entry"]
CMD ["server"]
