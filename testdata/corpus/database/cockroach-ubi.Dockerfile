FROM registry.example.com/ubi9/ubi-minimal:9.4 AS runtime
# rpm signatures are checked by microdnf
RUN microdnf update -y \
    && microdnf install -y ca-certificates tzdata xz tar gzip hostname krb5-libs \
    && microdnf clean all && rm -rf /var/cache/yum

RUN mkdir -p /usr/local/lib/cockroach /cockroach /licenses /docker-entrypoint-initdb.d
COPY cockroach.sh cockroach /cockroach/
COPY licenses/* /licenses/
COPY libgeos.so libgeos_c.so /usr/local/lib/cockroach/
WORKDIR /cockroach/
ENV PATH=/cockroach:$PATH COCKROACH_CHANNEL=kubernetes-multi-arch
LABEL name=cockroachdb vendor="Example Labs" \
      summary="distributed SQL" \
      description='a "distributed SQL" database' \
      io.k8s.display-name=CockroachDB io.openshift.tags='database,sql'
EXPOSE 26257/tcp 8080/tcp
HEALTHCHECK --interval=10s --timeout=2s --start-period=1m30s --start-interval=500ms CMD curl --fail http://localhost:8080/health?ready=1 || exit 1
ENTRYPOINT ["/cockroach/cockroach.sh"]
