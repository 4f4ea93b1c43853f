FROM eclipse-temurin:11-jre-jammy AS unpack
ADD --checksum=sha256:8b7e9c0f5ad7f0ccb3b0a9a0f1b5f4f7ad7b5dc1fdc2e8fdc6c1b3a4e5d6f708 --unpack=true \
    https://archive.example.org/ring/ring-4.1.5-bin.tar.gz /opt/
RUN mv /opt/ring-* /opt/ring && rm -rf /opt/ring/doc /opt/ring/javadoc

FROM eclipse-temurin:11-jre-jammy
RUN useradd -r -u 7000 -m -d /var/lib/ring ring
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      # the query shell
      python3 \
      # memory and NUMA settings of the start script
      procps numactl libjemalloc2 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=unpack /opt/ring /opt/ring
ENV RING_HOME=/opt/ring \
    RING_CONF=/etc/ring \
    MAX_HEAP_SIZE= HEAP_NEWSIZE=
ENV PATH=$RING_HOME/bin:$PATH LD_PRELOAD=${LD_PRELOAD:+$LD_PRELOAD:}/usr/lib/x86_64-linux-gnu/libjemalloc.so.2
RUN set -eux; \
    mv "$RING_HOME/conf" "$RING_CONF" && ln -s "$RING_CONF" "$RING_HOME/conf"; \
    for directory in data commitlog hints saved_caches; do \
        install -d -o ring -g ring "/var/lib/ring/$directory"; \
    done; \
    sed -i -e 's|\(\s\+\)- /var/lib/cassandra|\1- /var/lib/ring|' "$RING_CONF/cassandra.yaml"
VOLUME /var/lib/ring
# gossip, gossip over TLS, JMX, CQL
EXPOSE 7000 7001 7199 9042
USER ring
CMD ["cassandra", "-f", "-Dcassandra.config=file:///etc/ring/cassandra.yaml"]
