ARG JAVA=17
FROM eclipse-temurin:${JAVA}-jre-jammy AS dist
ARG EDITION=community
ARG RELEASE=5.20.0
ARG ARCHIVE=graph-${EDITION}-${RELEASE}-unix.tar.gz
ARG SOURCE=https://dist.example.org/${ARCHIVE}
RUN --mount=type=secret,id=netrc,target=/root/.netrc \
    curl --netrc-optional --fail --location "${SOURCE}" | tar -xz -C /opt \
    && mv "/opt/graph-${EDITION}-${RELEASE}" /opt/graph \
    && find /opt/graph -name '*.bat' -delete

FROM eclipse-temurin:${JAVA}-jre-jammy
RUN apt-get update && apt-get install -y --no-install-recommends tini jq && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 7474 --system --user-group graph
COPY --from=dist --chown=graph:graph /opt/graph /opt/graph
COPY plugins/*.jar /opt/graph/plugins/
ENV GRAPH_HOME="/opt/graph" \
    GRAPH_server_default__listen__address="0.0.0.0"
ENV PATH "${GRAPH_HOME}"/bin:$PATH
WORKDIR "${GRAPH_HOME}"
RUN set -e; for name in data logs; do mkdir "/$name"; rm -rf "$name"; ln -s "/$name" "$name"; chown graph: "/$name"; done
VOLUME /data /logs
EXPOSE 7473 7474 7687
USER graph
ENTRYPOINT ["tini", "-g", "--"]
CMD ["graph", "console"]
