# syntax=docker/dockerfile:1
FROM --platform=$BUILDPLATFORM tonistiigi/xx:1.4.0 AS xx
FROM --platform=$BUILDPLATFORM alpine:3.20 AS build
COPY --from=xx / /
RUN apk add --no-cache clang lld make pkgconf
ARG TARGETPLATFORM
RUN xx-apk add --no-cache gcc musl-dev zlib-dev zlib-static
WORKDIR /src
COPY . .
RUN make CC=xx-clang LDFLAGS=-static && xx-verify --static ./tool

FROM build AS package
ARG TARGETOS TARGETARCH TARGETVARIANT
RUN mkdir /dist && tar -czf "/dist/tool-$TARGETOS-$TARGETARCH${TARGETVARIANT:+-$TARGETVARIANT}.tgz" tool

FROM scratch AS dist
COPY --from=package /dist/ /

FROM alpine:3.20
COPY --from=build /src/tool /usr/bin/tool
CMD ["tool"]
