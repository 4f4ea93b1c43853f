####################################################################
# 1. unpack the distribution and take away what it does not need
####################################################################
FROM ubuntu:22.04 AS unpack
ARG ENGINE=8.14.0
RUN tries=0; \
    until apt-get update && apt-get install -y curl ca-certificates; do \
      tries=$((tries+1)); \
      [ "$tries" -lt 5 ] || { echo "giving up after $tries tries"; exit 1; }; \
      sleep $((tries * 3)); \
    done
WORKDIR /opt/engine
RUN curl -sSfL "https://artifacts.example.org/engine-${ENGINE}-linux-$(uname -m).tar.gz" \
      | tar -xz --strip-components=1
RUN set -e ; \
    find . -type d -print0 | xargs -0 chmod 0755 ; \
    find . -type f -print0 | xargs -0 chmod 0644 ; \
    chmod 0755 bin/* jdk/bin/* ; \
    mkdir -p data logs plugins ; \
    chmod 0775 data logs plugins config ; \
    sed -i '/^## GC logging/,/^$/d' config/jvm.options

####################################################################
# 2. the image
####################################################################
FROM ubuntu:22.04
RUN groupadd -g 9200 engine && useradd -u 9200 -g 9200 -G 0 -d /opt/engine -M engine
WORKDIR /opt/engine
COPY --from=unpack --chown=9200:0 /opt/engine .
COPY --chown=9200:0 config/engine.yml config/log4j2.properties config/
COPY --from=krallin/tini:0.19 /tini /bin/tini
ENV PATH=/opt/engine/bin:$PATH ENGINE_JAVA_OPTS="-Xms1g -Xmx1g -Des.path='/opt/engine'"
EXPOSE 9200 9300
LABEL org.opencontainers.image.title="Search engine" \
  org.opencontainers.image.version="8.14.0" \
  org.opencontainers.image.created="2024-05-20T10:00:00Z" \
  "com.example.build notes"='heap is "1g" by default'
USER 9200:0
ENTRYPOINT ["/bin/tini", "-v", "--"]
CMD ["engine"]
