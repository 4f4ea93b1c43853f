# A web server from a vendor's packages, or from source where there are none.
FROM debian:bookworm-slim
LABEL maintainer="Web Team <web@example.org>"

ENV SERVER_VERSION   1.27.0
ENV SERVER_REVISION  1~bookworm

RUN set -x \
# its number is known to volumes
    && useradd --system --user-group --uid 8080 --no-create-home --shell /usr/sbin/nologin web \
    && apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates gnupg wget \
    && \
    ok=''; \
    for server in \
        keys.example.org \
        hkp://keys.example.com:80 \
    ; do \
        wget -q -O - "$server/web.asc" | gpg --dearmor -o /etc/apt/keyrings/web.gpg && ok=1 && break; \
    done; \
    [ -n "$ok" ] || { echo >&2 "error: no key server answers"; exit 1; } \
    && cpu="$(dpkg --print-architecture)" \
    && wanted=" \
        nginx=${SERVER_VERSION}-${SERVER_REVISION} \
        nginx-module-geoip=${SERVER_VERSION}-${SERVER_REVISION} \
    " \
    && case "$cpu" in \
        amd64|arm64) \
# prebuilt
            echo "deb [signed-by=/etc/apt/keyrings/web.gpg] https://packages.example.org/debian bookworm web" > /etc/apt/sources.list.d/web.list \
            ;; \
        *) \
# from source
            scratch_dir="$(mktemp -d)" \
            && apt-get build-dep -y nginx \
            && ( cd "$scratch_dir" && apt-get source --compile nginx && dpkg -i ./*.deb ) \
            && rm -r "$scratch_dir" \
            ;; \
    esac \
    \
    && apt-get update \
    && apt-get install -y --no-install-recommends $wanted gettext-base \
    && apt-get purge -y --auto-remove gnupg wget \
    && rm -rf /var/lib/apt/lists/* \
# the collector reads the container's streams
    && for stream in out err; do ln -sf "/dev/std$stream" "/var/log/nginx/$stream.log"; done

COPY start.sh /
COPY ["start.d/10 ipv6.sh", "start.d/20 templates.sh", "/start.d/"]
ENTRYPOINT ["/start.sh"]
EXPOSE 80
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off; error_log /dev/stderr;"]
