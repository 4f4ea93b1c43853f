# syntax=docker/dockerfile:1
FROM alpine/git:2.45.2 AS clone
RUN mkdir -p -m 0700 /root/.ssh && echo 'git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample' >> /root/.ssh/known_hosts
ARG REPO=git@git.example.com:team/private.git
ARG REF=main
RUN --mount=type=ssh,required=true \
    --mount=type=cache,id=git-${REF},target=/mirror \
    set -e; \
    [ -d /mirror/HEAD ] || git init --bare /mirror; \
    git -C /mirror fetch --depth=1 "$REPO" "$REF"; \
    git -C /mirror archive FETCH_HEAD | tar -x -C /srv
ADD git@git.example.com:team/other.git#v2 /other

FROM scratch
COPY --from=clone /srv /
