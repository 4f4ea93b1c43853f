# syntax=docker/dockerfile:1.5
ARG ALPINE=3.20
FROM alpine:${ALPINE} AS source
WORKDIR /src
COPY --link . .

FROM source AS fmt
RUN apk add --no-cache clang17-extra-tools && find . -name '*.[ch]' | xargs clang-format --dry-run --Werror

FROM source AS unit
RUN apk add --no-cache build-base && make check | tee /unit.log

FROM source AS scan
RUN --mount=type=bind,from=registry.example.com/tools/grype:latest,source=/grype,target=/usr/bin/grype \
    --mount=type=cache,target=/root/.cache/grype \
    --network=default grype dir:. -o sarif > /scan.sarif

FROM source AS offline
RUN --network=none apk info > /installed.txt && ! wget -q -T 1 http://example.org

FROM scratch AS results
COPY --link --from=unit /unit.log /
COPY --link --from=scan /scan.sarif /
COPY --link --from=offline /installed.txt /
