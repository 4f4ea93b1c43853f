ARG REGISTRY=registry.example.com:5000
ARG NAMESPACE=platform/base
ARG FLAVOUR=alpine
ARG VERSION=3.20
ARG SUFFIX=${FLAVOUR:+-${FLAVOUR}}
ARG IMAGE=${REGISTRY}/${NAMESPACE}/node:20${SUFFIX}
ARG DIGEST

FROM ${IMAGE}${DIGEST:+@$DIGEST} AS base
ARG VERSION
ARG FLAVOUR=ignored-global
ENV BASE_VERSION=$VERSION FLAVOUR=$FLAVOUR

FROM ${REGISTRY}/tools/lint:latest AS lint
FROM ${REGISTRY}/tools/scan@sha256:9b2a4d4f0f2c1f9e7f8a6d5c4b3a29181706f5e4d3c2b1a0f9e8d7c6b5a49382 AS scan

FROM base
COPY --from=lint /report.txt /reports/lint
COPY --from=scan /report.txt /reports/scan
