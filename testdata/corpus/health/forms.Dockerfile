FROM alpine:3.20 AS none
HEALTHCHECK NONE
FROM alpine:3.20 AS shell-form
HEALTHCHECK CMD wget -q --spider http://localhost/ || exit 1
FROM alpine:3.20 AS exec-form
HEALTHCHECK CMD ["wget", "-q", "--spider", "http://localhost/"]
FROM alpine:3.20 AS options
HEALTHCHECK --interval=1h2m3s --timeout=1.5s --start-period=500ms --start-interval=2s --retries=0 CMD true
FROM alpine:3.20 AS continued
HEALTHCHECK \
    --interval=5m \
    # the network is slow
    --timeout=10s \
    CMD \
      curl -fsS http://localhost:8080/live \
      && curl -fsS http://localhost:8080/ready
FROM options
HEALTHCHECK --interval=10s CMD /bin/check --port=${PORT:-80} "a b"
healthcheck --retries=5 cmd ["/bin/check"]
SHELL ["/bin/ash", "-eo", "pipefail", "-c"]
HEALTHCHECK --timeout=1m CMD netstat -ltn | grep -c ":$PORT"
