FROM debian:bookworm-slim
ARG WITH_SSL=1
ARG WITH_DOCS=
ARG EXTRA_PACKAGES
ARG DEBIAN_FRONTEND=noninteractive
RUN set -eu; \
    packages="curl"; \
    if [ "${WITH_SSL:-0}" != 0 ]; then packages="$packages openssl ca-certificates"; fi; \
    if [ -n "${WITH_DOCS}" ]; then packages="$packages man-db"; fi; \
    apt-get update; \
    apt-get install -y --no-install-recommends $packages ${EXTRA_PACKAGES-}; \
    rm -rf /var/lib/apt/lists/*
ENV SSL=${WITH_SSL:+enabled}
CMD ["curl", "--version"]
