FROM golang:1.22-alpine AS restic
ADD https://git.example.org/backup/restic.git#v0.16.4 /restic
WORKDIR /restic
RUN --mount=type=cache,target=/root/.cache/go-build go run build.go

FROM alpine:3.20
RUN apk add --no-cache ca-certificates fuse openssh-client tzdata
COPY --from=restic /restic/restic /usr/bin/
ENV RESTIC_REPOSITORY=/repo RESTIC_CACHE_DIR=/cache
VOLUME ["/repo", "/cache"]
COPY --chmod=0500 hooks/ /hooks/
ENTRYPOINT ["/usr/bin/restic"]
CMD ["snapshots", "--group-by", "host,paths"]
