ARG ARCH=amd64
FROM --platform=linux/${ARCH} alpine:3.20 as certs
RUN apk add --no-cache ca-certificates

FROM --platform=linux/${ARCH} scratch
COPY --from=certs /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
ADD etcd etcdctl etcdutl /usr/local/bin/
WORKDIR /var/etcd/
WORKDIR /var/lib/etcd/
ENV PATH="$PATH:/usr/local/bin:/usr/bin"
EXPOSE 2379 2380
# Define default command.
CMD ["/usr/local/bin/etcd"]
