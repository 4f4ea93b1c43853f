FROM eclipse-temurin:11-jre-jammy
RUN set -eux; groupadd -r cassandra --gid=999; useradd -r -g cassandra --uid=999 cassandra
RUN set -eux; \
	apt-get update; \
	apt-get install -y --no-install-recommends \
# cqlsh is written in it
		python3 \
# "sysctl" and "free" are used by the start script
		procps \
		iproute2 numactl \
	; \
	rm -rf /var/lib/apt/lists/*; \
	libjemalloc="$(readlink -e /usr/lib/*/libjemalloc.so.2 || :)"; \
	[ -z "$libjemalloc" ] || ln -sT "$libjemalloc" /usr/local/lib/libjemalloc.so

ENV CASSANDRA_HOME /opt/cassandra
ENV CASSANDRA_CONF /etc/cassandra
ENV PATH $CASSANDRA_HOME/bin:$PATH
ENV CASSANDRA_VERSION 4.1.5
ADD --checksum=sha256:8b7e9c0f5ad7f0ccb3b0a9a0f1b5f4f7ad7b5dc1fdc2e8fdc6c1b3a4e5d6f708 https://archive.example.org/cassandra/4.1.5/apache-cassandra-4.1.5-bin.tar.gz /tmp/cassandra.tgz
RUN set -eux; \
	mkdir -p "$CASSANDRA_HOME"; \
	tar --extract --file /tmp/cassandra.tgz --directory "$CASSANDRA_HOME" --strip-components 1; \
	rm /tmp/cassandra.tgz; \
	[ ! -e "$CASSANDRA_CONF" ]; \
	mv "$CASSANDRA_HOME/conf" "$CASSANDRA_CONF"; \
	ln -sT "$CASSANDRA_CONF" "$CASSANDRA_HOME/conf"; \
	dpkgArch="$(dpkg --print-architecture)"; \
	case "$dpkgArch" in \
		ppc64el) sed -ri 's/^(JVM_PATCH_VERSION)=.*/\1=25/; s/-Xss[0-9]+k/-Xss512k/g' "$CASSANDRA_CONF/jvm-server.options" ;; \
	esac; \
	mkdir -p "$CASSANDRA_CONF" /var/lib/cassandra /var/log/cassandra; \
	chown -R cassandra:cassandra "$CASSANDRA_CONF" /var/lib/cassandra /var/log/cassandra; \
	chmod 1777 "$CASSANDRA_CONF" /var/lib/cassandra /var/log/cassandra; \
	ln -sT /var/lib/cassandra "$CASSANDRA_HOME/data"; \
	ln -sT /var/log/cassandra "$CASSANDRA_HOME/logs"
VOLUME /var/lib/cassandra

COPY docker-entrypoint.sh /usr/local/bin/
ENTRYPOINT ["docker-entrypoint.sh"]

# 7000: intra-node communication
# 7001: TLS intra-node communication
# 7199: JMX
# 9042: CQL
# 9160: thrift service
EXPOSE 7000 7001 7199 9042 9160
CMD ["cassandra", "-f"]
