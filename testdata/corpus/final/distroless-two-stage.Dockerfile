FROM debian:12-slim AS libs
RUN apt-get update && apt-get install -y --no-install-recommends libjemalloc2 libsqlite3-0 tini
RUN set -eu; \
    mkdir -p /rootfs/usr/lib /rootfs/sbin /rootfs/var/lib/dpkg/status.d; \
    for package in libjemalloc2 libsqlite3-0; do \
        dpkg -L "$package" | grep '\.so' | xargs -I{} cp --parents -a {} /rootfs; \
        dpkg -s "$package" > "/rootfs/var/lib/dpkg/status.d/$package"; \
    done; \
    cp "$(command -v tini-static || command -v tini)" /rootfs/sbin/tini; \
    echo 'nonroot:x:65532:65532::/:/sbin/nologin' > /rootfs/etc-passwd

FROM gcr.example.com/distroless/cc-debian12:nonroot
COPY --from=libs /rootfs/ /
COPY --chown=nonroot:nonroot --chmod=0500 app /app
ENV LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2
USER 65532
ENTRYPOINT ["/sbin/tini", "--", "/app"]
