FROM registry.example.com/ubi9/ubi-minimal:9.4 AS runtime
RUN microdnf -y upgrade && microdnf -y install tzdata krb5-libs shadow-utils && microdnf clean all
RUN mkdir -p /opt/roach/lib /licenses
COPY LICENSE* NOTICE /licenses/
COPY roach roach.sh /opt/roach/
COPY lib/*.so lib/*.so.? /opt/roach/lib/
WORKDIR /opt/roach
ENV PATH=/opt/roach:$PATH LD_LIBRARY_PATH=/opt/roach/lib
LABEL name=roach vendor="Example Labs" \
      summary="distributed SQL" \
      description='a "distributed SQL" database' \
      io.k8s.display-name=Roach io.openshift.tags='database,sql'
EXPOSE 26257/tcp 8080/tcp
HEALTHCHECK --interval=10s --timeout=2s --start-period=1m30s --start-interval=500ms CMD curl --fail http://localhost:8080/health?ready=1 || exit 1
ENTRYPOINT ["/opt/roach/roach.sh"]
