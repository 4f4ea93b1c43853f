FROM ubuntu:24.04
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN apt-get update | tail -n 1 \
 && apt-get install -y --no-install-recommends curl xz-utils \
 && rm -rf /var/lib/apt/lists/{partial,*_dists_*}
RUN curl -fsSL https://downloads.example.org/tool.tar.xz | tee >(sha256sum > /tool.sum) | tar -xJ -C /usr/local
RUN declare -A ports=([http]=80 [https]=443); \
    for name in "${!ports[@]}"; do \
        echo "${name^^}=${ports[$name]}"; \
    done | sort > /etc/ports
RUN [[ "$(cat /etc/ports)" =~ HTTP=80 ]] && mapfile -t lines < /etc/ports && echo "${#lines[@]} lines"
# and back
SHELL ["/bin/sh", "-c"]
CMD echo "$0"
HEALTHCHECK CMD test -e /etc/ports
