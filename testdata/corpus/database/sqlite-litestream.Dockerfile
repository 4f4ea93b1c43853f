FROM golang:1.22-alpine AS litestream
RUN apk add --no-cache gcc musl-dev
ADD https://git.example.org/tools/litestream.git#v0.3.13 /src
WORKDIR /src
RUN --mount=type=cache,target=/go/pkg --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=1 go build -ldflags "-s -w -extldflags '-static'" -tags osusergo,netgo,sqlite_omit_load_extension -o /litestream ./cmd/litestream

FROM alpine:3.20
RUN apk add --no-cache sqlite ca-certificates && mkdir -p /data
COPY --link --from=litestream /litestream /usr/local/bin/litestream
COPY <<EOF /etc/litestream.yml
dbs:
  - path: /data/app.db
    replicas:
      - type: s3
        bucket: \${BUCKET}
        path: app
EOF
VOLUME ["/data"]
CMD litestream restore -if-db-not-exists -if-replica-exists /data/app.db && exec litestream replicate -exec "/usr/local/bin/app -db /data/app.db"
