# syntax=docker/dockerfile:1
FROM ubuntu:jammy
SHELL ["/bin/bash", "-eux", "-o", "pipefail", "-c"]
ARG MONGO_PACKAGE=mongodb-org
ARG MONGO_REPO=repo.example.org
ENV MONGO_PACKAGE=${MONGO_PACKAGE} MONGO_REPO=${MONGO_REPO}
ENV MONGO_MAJOR 7.0
ENV MONGO_VERSION 7.0.11

RUN groupadd --gid 999 --system mongodb; \
    useradd --uid 999 --system --gid mongodb --home-dir /data/db mongodb; \
    mkdir -p /data/db /data/configdb; \
    chown -R mongodb:mongodb /data/db /data/configdb

RUN apt-get update; \
    apt-get install -y --no-install-recommends ca-certificates curl jq numactl procps tzdata; \
    rm -rf /var/lib/apt/lists/*; \
    curl -fsSL "https://${MONGO_REPO}/apt/ubuntu/server-${MONGO_MAJOR}.asc" | gpg --dearmor > /usr/share/keyrings/mongo.gpg; \
    echo "deb [ signed-by=/usr/share/keyrings/mongo.gpg ] http://$MONGO_REPO/apt/ubuntu jammy/${MONGO_PACKAGE%-unstable}/$MONGO_MAJOR multiverse" | tee "/etc/apt/sources.list.d/${MONGO_PACKAGE%-unstable}.list"

RUN ln -s /bin/true /usr/local/bin/systemctl; \
    export DEBIAN_FRONTEND=noninteractive; \
    apt-get update; \
    apt-get install -y \
        ${MONGO_PACKAGE}=$MONGO_VERSION \
        ${MONGO_PACKAGE}-server=$MONGO_VERSION \
        ${MONGO_PACKAGE}-shell=$MONGO_VERSION \
        ${MONGO_PACKAGE}-mongos=$MONGO_VERSION \
        ${MONGO_PACKAGE}-tools=$MONGO_VERSION; \
    rm -f /usr/local/bin/systemctl; \
    rm -rf /var/lib/apt/lists/* /var/lib/mongodb; \
    mv /etc/mongod.conf /etc/mongod.conf.orig

VOLUME /data/db /data/configdb
ENV HOME /data/db
COPY docker-entrypoint.sh /usr/local/bin/
ENTRYPOINT ["docker-entrypoint.sh"]
EXPOSE 27017-27019
CMD ["mongod"]
