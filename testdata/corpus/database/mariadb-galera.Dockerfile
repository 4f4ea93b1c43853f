FROM mariadb:11.4
ARG CLUSTER=main
RUN apt-get update && apt-get install -y --no-install-recommends mariadb-backup socat pv && rm -rf /var/lib/apt/lists/*
COPY <<EOF /etc/mysql/mariadb.conf.d/60-galera.cnf
[galera]
wsrep_on = ON
wsrep_cluster_name = "${CLUSTER}"
wsrep_sst_auth = "sst:\${SST_PASSWORD}"
wsrep_provider_options = "gcache.size=1G; gcs.fc_limit=128"
EOF
HEALTHCHECK --interval=10s --timeout=5s --retries=30 CMD mariadb -N -e "SHOW STATUS LIKE 'wsrep_ready'" | awk '{ exit ($2 != "ON") }'
EXPOSE 3306 4444 4567 4567/udp 4568
