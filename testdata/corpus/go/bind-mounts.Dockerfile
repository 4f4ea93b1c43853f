# syntax=docker/dockerfile:1
FROM golang:1.22 AS build
WORKDIR /src
RUN --mount=type=cache,target=/go/pkg/mod/ \
    --mount=type=bind,source=go.sum,target=go.sum \
    --mount=type=bind,source=go.mod,target=go.mod \
    go mod download
RUN --mount=type=cache,target=/go/pkg/mod/ \
    --mount=type=cache,target=/root/.cache/go-build,id=go-build-$TARGETARCH \
    --mount=type=bind,target=. \
    CGO_ENABLED=0 go build -o /bin/api ./cmd/api && CGO_ENABLED=0 go build -o /bin/worker ./cmd/worker

FROM build AS test
RUN --mount=type=bind,target=. --mount=type=tmpfs,target=/tmp,size=64m go test -race ./...

FROM gcr.example.com/distroless/static-debian12:nonroot AS api
COPY --from=build /bin/api /bin/
ENTRYPOINT [ "/bin/api" ]

FROM gcr.example.com/distroless/static-debian12:nonroot AS worker
COPY --from=build /bin/worker /bin/
ENTRYPOINT [ "/bin/worker" ]
