FROM alpine:3.20
ARG TARGETARCH
COPY --chmod=0755 dist/agent-linux-${TARGETARCH} /usr/bin/agent
COPY config/${TARGETARCH:-generic}.yaml /etc/agent.yaml
USER 10000:10000
ENTRYPOINT ["/usr/bin/agent", "--config", "/etc/agent.yaml"]
