FROM golang:1.22 AS base
WORKDIR /go/src/example.org/platform
COPY go.mod go.sum ./
RUN go mod download && go mod verify
COPY api/ api/
COPY internal/ internal/
COPY cmd/ cmd/

FROM base AS build-all
RUN mkdir -p /out && for d in cmd/*/; do \
      name=$(basename "$d"); \
      echo "--> $name"; \
      go build -o "/out/$name" "./$d" || exit $?; \
    done

FROM base AS lint
COPY --from=golangci/golangci-lint:v1.59 /usr/bin/golangci-lint /usr/bin/
RUN golangci-lint run --timeout 5m ./... | tee /lint.txt

FROM scratch AS reports
COPY --from=lint /lint.txt /

FROM debian:bookworm-slim AS release
COPY --from=build-all /out/ /usr/local/bin/
ARG DEFAULT=gateway
ENV PROGRAM=$DEFAULT
CMD exec "$PROGRAM"
