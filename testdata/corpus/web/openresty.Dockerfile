ARG BASE="alpine"
ARG BASE_TAG="3.19"

FROM ${BASE}:${BASE_TAG}

ARG BASE
ARG BASE_TAG
ARG RELEASE="1.25.3.1"
ARG JOBS="1"
ARG OPTIONS="\
    --with-threads \
    --with-http_v2_module \
    --with-http_realip_module \
    "
ARG EXTRA_PACKAGES=""
ARG BEFORE_CONFIGURE=""
ARG COMPILER_OPTIONS="--with-cc-opt='-O2 -DLUA_DEFAULT -I/opt/pcre/include' \
    --with-ld-opt='-L/opt/pcre/lib -Wl,-rpath,/opt/pcre/lib' \
    "
LABEL base="${BASE}:${BASE_TAG}"
LABEL options="${OPTIONS}"
LABEL compiler="${COMPILER_OPTIONS}"

RUN apk add --no-cache --virtual .tools build-base linux-headers perl pcre2-dev zlib-dev ${EXTRA_PACKAGES} \
    && if [ -n "${BEFORE_CONFIGURE}" ]; then eval "${BEFORE_CONFIGURE}"; fi \
    && mkdir /src && cd /src \
    && wget -q -O - "https://downloads.example.org/resty-${RELEASE}.tar.gz" | tar xz --strip-components=1 \
    && eval "./configure -j${JOBS} ${COMPILER_OPTIONS} ${OPTIONS}" \
    && make -j${JOBS} install \
    && apk del .tools && rm -rf /src
ENV PATH=$PATH:/usr/local/openresty/bin
COPY nginx.conf lua/*.lua /etc/resty/
CMD ["openresty", "-c", "/etc/resty/nginx.conf", "-g", "daemon off;"]
STOPSIGNAL SIGQUIT
