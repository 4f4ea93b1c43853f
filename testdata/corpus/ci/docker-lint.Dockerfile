# syntax=docker/dockerfile:1
# check=skip=JSONArgsRecommended,StageNameCasing
FROM hadolint/hadolint:v2.12.0-alpine AS Hadolint
FROM koalaman/shellcheck:v0.10.0 AS ShellCheck
FROM alpine:3.20
COPY --from=hadolint /bin/hadolint /bin/
COPY --from=shellcheck /bin/shellcheck /bin/
RUN apk add --no-cache bash findutils
WORKDIR /lint
CMD find . -name '*Dockerfile*' -print0 | xargs -0 -r hadolint; find . -name '*.sh' -print0 | xargs -0 -r shellcheck
