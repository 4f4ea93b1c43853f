# syntax=docker/dockerfile:1.4
FROM golang:1.22-alpine AS build
RUN apk add --no-cache git openssh-client
ENV GOPRIVATE=git.example.com
RUN mkdir -p -m 0700 ~/.ssh && ssh-keyscan git.example.com >> ~/.ssh/known_hosts \
 && git config --global url."ssh://git@git.example.com/".insteadOf "https://git.example.com/"
WORKDIR /app
COPY go.* ./
RUN --mount=type=ssh --mount=type=cache,target=/go/pkg/mod go mod download
COPY . ./
RUN --mount=type=ssh,id=default,required --mount=type=cache,target=/go/pkg/mod \
    go build -o /app/bin/tool .
FROM alpine:3.20
COPY --from=0 /app/bin/tool /usr/bin/tool
ENTRYPOINT ["tool"]
