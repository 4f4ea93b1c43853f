ARG BASE_ARCH=amd64
FROM --platform=linux/${BASE_ARCH} alpine:3.20 as certs
RUN apk add --no-cache ca-certificates && mkdir -p -m 0700 /rootfs/var/lib/etcd

FROM --platform=linux/${BASE_ARCH} scratch
COPY --from=certs /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=certs /rootfs /
ADD bin/etcd bin/etcdctl /usr/local/bin/
WORKDIR /var/lib/etcd
ENV ETCD_DATA_DIR=/var/lib/etcd \
    ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379 \
    ETCD_ADVERTISE_CLIENT_URLS=http://localhost:2379
EXPOSE 2379 2380
CMD ["/usr/local/bin/etcd"]
