ARG VARIANT=release
FROM golang:1.22 AS build
WORKDIR /s
COPY . .
RUN go build -gcflags="all=-N -l" -o /debug . && go build -ldflags=-s -o /release .

FROM gcr.example.com/distroless/base AS final-release
COPY --from=build /release /app

FROM golang:1.22 AS final-debug
RUN go install example.org/tools/dlv@latest
COPY --from=build /debug /app
EXPOSE 2345

FROM final-${VARIANT} AS final
ARG VARIANT
LABEL variant=${VARIANT}
ENTRYPOINT ["/app"]
