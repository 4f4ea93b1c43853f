FROM ubuntu:22.04
ARG RUNNER_VERSION=2.317.0
ARG RUNNER_ARCH="x64"
ARG DOCKER_VERSION=26.1.4
ARG BUILDX_VERSION=0.15.1
ENV DEBIAN_FRONTEND=noninteractive \
    RUNNER_MANUALLY_TRAP_SIG=1 \
    PRINT_LOG_TO_STDOUT=1
RUN apt-get update -y && apt-get install -y --no-install-recommends curl git jq sudo unzip ca-certificates libicu70 && rm -rf /var/lib/apt/lists/*
RUN adduser --disabled-password --gecos "" --uid 1001 runner \
    && groupadd docker --gid 123 \
    && usermod -aG sudo,docker runner \
    && echo "%sudo   ALL=(ALL:ALL) NOPASSWD:ALL" > /etc/sudoers \
    && echo "Defaults env_keep += \"DEBIAN_FRONTEND\"" >> /etc/sudoers
WORKDIR /home/runner
RUN curl -fLo runner.tar.gz https://downloads.example.com/runner/v${RUNNER_VERSION}/runner-linux-${RUNNER_ARCH}-${RUNNER_VERSION}.tar.gz \
    && tar xzf ./runner.tar.gz && rm runner.tar.gz
RUN export TARGET=$(echo "$RUNNER_ARCH" | sed -e 's/x64/x86_64/' -e 's/arm64/aarch64/') \
    && curl -fLo docker.tgz "https://downloads.example.com/static/stable/$TARGET/docker-${DOCKER_VERSION}.tgz" \
    && tar zxf docker.tgz --strip-components=1 -C /usr/bin && rm docker.tgz \
    && mkdir -p /usr/local/lib/docker/cli-plugins
ADD --chmod=0755 https://downloads.example.com/buildx/v${BUILDX_VERSION}/buildx.linux-amd64 /usr/local/lib/docker/cli-plugins/docker-buildx
USER runner
