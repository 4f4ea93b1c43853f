# syntax=docker/dockerfile:1
# One file, many services: --target picks, the last stage holds them all.
FROM node:20-alpine AS node-base
ENV NODE_ENV=production
WORKDIR /svc

FROM python:3.12-alpine AS python-base
ENV PYTHONUNBUFFERED=1
WORKDIR /svc

FROM golang:1.22-alpine AS go-base
WORKDIR /src
COPY go.work go.work.sum ./

FROM node-base AS web
COPY web/ .
RUN npm ci && npm run build
CMD ["node", "."]

FROM node-base AS bff
COPY bff/ .
RUN npm ci
CMD ["node", "."]

FROM python-base AS scoring
COPY scoring/ .
RUN pip install --no-cache-dir .
CMD ["python", "-m", "scoring"]

FROM go-base AS ledger
COPY ledger/ ledger/
COPY shared/ shared/
RUN go build -o /bin/ledger ./ledger
CMD ["/bin/ledger"]

FROM alpine:3.20 AS all-in-one
COPY --from=web /svc /opt/web
COPY --from=bff /svc /opt/bff
COPY --from=scoring /svc /opt/scoring
COPY --from=ledger /bin/ledger /opt/ledger
CMD ["sh", "-c", "ls /opt; sleep infinity"]
