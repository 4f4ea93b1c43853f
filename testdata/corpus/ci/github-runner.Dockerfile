FROM ubuntu:22.04
ARG AGENT=2.317.0
ARG DOCKER=26.1.4
ARG TARGETARCH
ENV AGENT_ALLOW_ROOT=0 \
    AGENT_LABELS="linux,${TARGETARCH}"
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates curl git git-lfs jq libicu70 sudo unzip zstd \
    && rm -rf /var/lib/apt/lists/*
RUN useradd -m -u 2000 agent && groupadd -g 998 docker && usermod -aG docker,sudo agent \
    && printf '%%sudo ALL=(ALL:ALL) NOPASSWD: ALL\nDefaults env_keep += "http_proxy https_proxy no_proxy"\n' > /etc/sudoers.d/agent
WORKDIR /home/agent
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN arch=$(sed -e 's/amd64/x64/' <<< "${TARGETARCH}") \
    && curl -fsSL "https://downloads.example.com/agent/${AGENT}/agent-linux-$arch.tar.gz" | tar -xz --no-same-owner \
    && ./bin/installdependencies.sh
RUN arch=$(uname -m) && curl -fsSL "https://downloads.example.com/docker/${arch}/docker-${DOCKER}.tgz" \
    | tar -xz -C /usr/local/bin --strip-components=1 docker/docker
ADD --chmod=0755 https://downloads.example.com/buildx/linux-${TARGETARCH} /usr/local/lib/docker/cli-plugins/docker-buildx
USER agent
CMD ["./run.sh", "--once"]
