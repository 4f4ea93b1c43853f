FROM oraclelinux:9-slim
ENV SERVER_VERSION=8.4.1 \
    SERVER_DATADIR=/var/lib/mysql

COPY <<REPO /etc/yum.repos.d/server.repo
[server]
name=Database server \$releasever
baseurl=https://yum.example.org/server-${SERVER_VERSION%.*}/el/\$releasever/\$basearch
enabled=1
gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-server
REPO
COPY RPM-GPG-KEY-server /etc/pki/rpm-gpg/

RUN microdnf install -y --setopt=install_weak_deps=0 \
        "mysql-community-server-${SERVER_VERSION}" \
        openssl zstd \
 && microdnf clean all \
 && rm -rf /var/cache/* /var/log/* "$SERVER_DATADIR" \
 && install -d -o mysql -g mysql -m 0750 "$SERVER_DATADIR" \
 && install -d -o mysql -g mysql -m 0755 /var/run/mysqld

COPY <<'CNF' /etc/my.cnf.d/container.cnf
[mysqld]
skip-name-resolve
host-cache-size = 0
socket  = /var/run/mysqld/mysqld.sock
pid-file = /var/run/mysqld/mysqld.pid
# "!includedir" would be read at the end, whatever its place
[client]
socket = /var/run/mysqld/mysqld.sock
CNF

COPY --chmod=755 entrypoint.sh /usr/local/sbin/entrypoint
VOLUME $SERVER_DATADIR
EXPOSE 3306/tcp 33060/tcp
ENTRYPOINT ["/usr/local/sbin/entrypoint"]
CMD ["mysqld", "--user=mysql"]
