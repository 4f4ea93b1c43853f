FROM eclipse-temurin:17-jre-alpine AS unpack
ARG SCALA=2.13
ARG KAFKA=3.7.0
ADD --unpack=true https://archive.example.org/kafka/${KAFKA}/kafka_${SCALA}-${KAFKA}.tgz /tmp/
RUN mv /tmp/kafka_* /opt/kafka && rm -rf /opt/kafka/site-docs /opt/kafka/bin/windows

FROM eclipse-temurin:17-jre-alpine
RUN apk add --no-cache bash gcompat && adduser -D -h /var/lib/kafka kafka
COPY --from=unpack --chown=kafka /opt/kafka /opt/kafka
ENV PATH=/opt/kafka/bin:$PATH \
    KAFKA_HEAP_OPTS="-Xmx1G -Xms1G" \
    KAFKA_LOG4J_OPTS=-Dlog4j.configuration=file:/opt/kafka/config/log4j.properties
COPY --chmod=755 <<'EOF' /start
#!/bin/bash
set -euo pipefail
: "${CLUSTER_ID:=$(kafka-storage.sh random-uuid)}"
conf=/opt/kafka/config/kraft/server.properties
while IFS='=' read -r name value; do
  key=${name#KAFKA_}; key=${key,,}; key=${key//_/.}
  grep -q "^$key=" "$conf" && sed -i "s|^$key=.*|$key=$value|" "$conf" || echo "$key=$value" >> "$conf"
done < <(env | grep '^KAFKA_[A-Z]*_' || true)
kafka-storage.sh format --ignore-formatted -t "$CLUSTER_ID" -c "$conf"
exec kafka-server-start.sh "$conf" "$@"
EOF
USER kafka
VOLUME /var/lib/kafka
EXPOSE 9092-9094
ENTRYPOINT ["/start"]
