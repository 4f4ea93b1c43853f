from ubuntu:20.04
maintainer Proxy Admins <proxy@example.org>
env DEBIAN_FRONTEND noninteractive
run apt-get update \
 && apt-get install -y squid \
 && rm -rf /var/lib/apt/lists/*
add squid.conf /etc/squid/squid.conf
volume /var/spool/squid /var/log/squid
expose 3128
entrypoint ["/usr/sbin/squid"]
cmd ["-N", "-d", "1", "-f", "/etc/squid/squid.conf"]
