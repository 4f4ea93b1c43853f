#!BuildTag: example/app:latest
#!BuildTag: example/app:1.0
FROM registry.example.com/bci/bci-base:15.6
LABEL org.opencontainers.image.created="%BUILDTIME%"
LABEL org.opencontainers.image.version="1.0.%RELEASE%"
RUN set -euo pipefail; zypper -n in --no-recommends python311 python311-pip; zypper -n clean; rm -rf /var/log/{lastlog,tallylog,zypper.log,zypp/history}
ENTRYPOINT ["/usr/bin/python3.11"]
