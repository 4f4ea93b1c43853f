# syntax=docker/dockerfile:1
ARG UBUNTU=jammy
FROM ubuntu:${UBUNTU}
SHELL ["/bin/bash", "-euxo", "pipefail", "-c"]
ARG UBUNTU
ARG CHANNEL=stable
ARG SERIES=7.0
ENV DOCSTORE_SERIES=${SERIES} DOCSTORE_LIST="/etc/apt/sources.list.d/docstore-${CHANNEL%-rc}.list"

RUN useradd --system --uid 27017 --user-group --home-dir /data docstore; \
    install -d -o docstore -g docstore /data/{db,config}

RUN apt-get update; \
    apt-get install -y --no-install-recommends ca-certificates curl gpg jq; \
    curl -fsSL "https://repo.example.org/keys/$DOCSTORE_SERIES.asc" \
        | gpg --dearmor \
        | tee /usr/share/keyrings/docstore.gpg \
        | sha256sum; \
    echo "deb [signed-by=/usr/share/keyrings/docstore.gpg] https://repo.example.org/ubuntu $UBUNTU/docstore/$DOCSTORE_SERIES multiverse" > "$DOCSTORE_LIST"; \
    apt-get update; \
    # post-install scripts want to talk to systemd, which is not there
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d; \
    DEBIAN_FRONTEND=noninteractive apt-get install -y docstore-{server,shell,router}; \
    rm -rf /usr/sbin/policy-rc.d /var/lib/apt/lists/* /etc/docstore.conf
VOLUME /data/db /data/config
ENV HOME=/data/db
COPY start.sh /usr/local/bin/
USER docstore
EXPOSE 27017-27019
ENTRYPOINT ["start.sh"]
CMD ["mongod", "--bind_ip_all"]
