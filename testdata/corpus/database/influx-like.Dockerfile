FROM buildpack-deps:bookworm-curl AS dependency-base
RUN groupadd -r influxdb --gid=1000 && \
    useradd -r -g influxdb --uid=1000 --create-home --home-dir=/home/influxdb --shell=/bin/bash influxdb

FROM dependency-base as fetch
ARG TARGETARCH
ARG INFLUXDB_VERSION=2.7.6
RUN <<'SCRIPT' bash -eux
base="https://dl.example.com/releases/influxdb2-${INFLUXDB_VERSION}_linux_${TARGETARCH}"
for suffix in .tar.gz .tar.gz.asc; do
  curl -fLsS --retry 3 -o "/tmp/influxdb${suffix}" "${base}${suffix}"
done
mkdir -p /tmp/influxdb
tar xzf /tmp/influxdb.tar.gz -C /tmp/influxdb --strip-components=1
SCRIPT

FROM dependency-base
COPY --from=fetch /tmp/influxdb/usr/bin/influxd /usr/local/bin/influxd
ENV INFLUXDB_INIT_MODE= \
    INFLUX_CONFIGS_PATH=/etc/influxdb2/influx-configs \
    INFLUXD_INIT_PORT=9999 \
    INFLUXD_INIT_PING_ATTEMPTS=600
EXPOSE 8086
VOLUME [ "/var/lib/influxdb2", "/etc/influxdb2" ]
COPY default-config.yml /etc/defaults/influxdb2/config.yml
COPY entrypoint.sh /entrypoint.sh
ENTRYPOINT ["/entrypoint.sh"]
CMD ["influxd"]
