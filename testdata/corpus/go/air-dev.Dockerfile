FROM golang:1.22-alpine
RUN apk add --no-cache bash curl git make && \
    go install example.org/tools/air@v1.52.0 && \
    go install example.org/tools/dlv@v1.22.1
WORKDIR /app
ENV CGO_ENABLED=0
COPY go.mod go.sum ./
RUN go mod download
EXPOSE 8080 2345
VOLUME ["/app", "/go/pkg/mod"]
CMD ["air", "-c", ".air.toml", "--", "--listen", ":8080"]
