# Every form of expansion that the build knows.
ARG RELEASE=v1.22.333-rc.1
ARG REGISTRY
ARG BASE=${REGISTRY:+$REGISTRY/}alpine
ARG BASE_TAG=${TAG:-3.20}
FROM ${BASE}:${BASE_TAG}
ARG RELEASE
ENV VERSION=${RELEASE#v} \
    SERIES=${RELEASE%%.*} \
    MINOR=${RELEASE%.*} \
    LAST=${RELEASE##*.} \
    DASHED=${RELEASE/./-} \
    UNDERSCORED=${RELEASE//./_} \
    WITH_DEFAULT=${NOPE:-"a default with blanks"} \
    IF_SET=${RELEASE:+set} \
    NESTED=${NOPE:-${ALSO_NOPE:-$RELEASE}} \
    REQUIRED="${RELEASE:?must be given}" \
    UNSET_ONLY=${EMPTY-none} \
    PATTERN=${RELEASE%-rc*}
LABEL version="${VERSION}" literal='${VERSION}' escaped="\${VERSION}"
WORKDIR /opt/${SERIES}/${UNDERSCORED}
COPY ${FILE:-a.txt} b.txt ./
ADD --chown=${UID:-1000}:${GID:-1000} conf-${SERIES}.tgz /etc/
EXPOSE ${PORT:-8080} ${ADMIN_PORT:-9090}/tcp
VOLUME ${DATA:-/data}
USER ${UID:-1000}
STOPSIGNAL ${SIGNAL:-SIGTERM}
