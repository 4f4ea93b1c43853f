# syntax=docker/dockerfile:1.20
# check=error=false
#
# The whole pipeline of a repository with a Go back end, a TypeScript front end and Python jobs.
#   docker build --target lint|test|docs|backend|frontend|jobs .

ARG GO_VERSION=1.22.4
ARG NODE_VERSION=20.15.0
ARG PYTHON_VERSION=3.12
ARG DISTRIBUTION=bookworm
# REVISION commit that is built
ARG REVISION=unknown

### sources, split by language so that a change in one leaves the others alone ###
FROM scratch AS go-sources
COPY --parents go.mod go.sum backend/**/*.go proto/**/*.pb.go /

FROM scratch AS ts-sources
COPY --parents --exclude=**/node_modules package.json package-lock.json frontend /

FROM scratch AS py-sources
COPY --parents pyproject.toml uv.lock jobs/**/*.py /

### tools ###
FROM golang:${GO_VERSION}-${DISTRIBUTION} AS go-tools
ENV CGO_ENABLED=0 GOFLAGS=-trimpath
WORKDIR /repo

FROM node:${NODE_VERSION}-${DISTRIBUTION}-slim AS node-tools
ENV CI=true npm_config_fund=false npm_config_audit=false
WORKDIR /repo

FROM python:${PYTHON_VERSION}-slim-${DISTRIBUTION} AS python-tools
ENV PYTHONDONTWRITEBYTECODE=1 UV_PROJECT_ENVIRONMENT=/venv PATH=/venv/bin:$PATH
RUN pip install --no-cache-dir uv==0.2.17
WORKDIR /repo

### back end ###
FROM go-tools AS go-build
ARG REVISION
RUN --mount=type=bind,from=go-sources,target=/repo \
    --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build <<EOF
set -eu
mkdir /out
for main in $(go list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./backend/...); do
  go build -ldflags "-X main.revision=${REVISION}" -o "/out/${main##*/}" "$main"
done
ls -l /out
EOF

FROM go-tools AS go-test
RUN --mount=type=bind,from=go-sources,target=/repo,rw \
    --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    go vet ./... && go test -coverprofile=/coverage.go.txt ./...

### front end ###
FROM node-tools AS node-modules
COPY --from=ts-sources --parents /./package*.json /./frontend/**/package.json ./
RUN --mount=type=cache,target=/root/.npm npm ci

FROM node-modules AS ts-build
COPY --from=ts-sources / .
RUN npm run build && npm run size | tee /size.txt

FROM node-modules AS ts-test
COPY --from=ts-sources / .
RUN npx vitest run --coverage --reporter=junit --outputFile=/coverage.ts.xml

### jobs ###
FROM python-tools AS py-env
RUN --mount=type=bind,from=py-sources,target=/repo,rw \
    --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-install-project

FROM py-env AS py-test
RUN --mount=type=bind,from=py-sources,target=/repo,rw \
    --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked && pytest -q --junitxml=/coverage.py.xml

### results ###
FROM scratch AS lint
COPY --link --from=ts-build /size.txt /

FROM scratch AS test
COPY --link --from=go-test /coverage.go.txt /
COPY --link --from=ts-test /coverage.ts.xml /
COPY --link --from=py-test /coverage.py.xml /

FROM gcr.example.com/distroless/static-${DISTRIBUTION}:nonroot AS backend
COPY --link --from=go-build /out/ /usr/bin/
ENTRYPOINT ["/usr/bin/server"]

FROM nginx:1.27-alpine AS frontend
COPY --link --from=ts-build /repo/frontend/dist /usr/share/nginx/html

FROM python-tools AS jobs
COPY --link --from=py-env /venv /venv
COPY --link --from=py-sources / .
USER 1000:1000
ENTRYPOINT ["python", "-m"]
CMD ["jobs.nightly"]
