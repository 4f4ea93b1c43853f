ARG RESTY_IMAGE_BASE="alpine"
ARG RESTY_IMAGE_TAG="3.19"

FROM ${RESTY_IMAGE_BASE}:${RESTY_IMAGE_TAG}

ARG RESTY_IMAGE_BASE="alpine"
ARG RESTY_IMAGE_TAG="3.19"
ARG RESTY_VERSION="1.25.3.1"
ARG RESTY_OPENSSL_VERSION="1.1.1w"
ARG RESTY_PCRE_VERSION="10.42"
ARG RESTY_J="1"
ARG RESTY_CONFIG_OPTIONS="\
    --with-compat \
    --with-http_auth_request_module \
    --with-http_gunzip_module \
    --with-http_v2_module \
    --with-md5-asm \
    --with-threads \
    "
ARG RESTY_ADD_PACKAGE_BUILDDEPS=""
ARG RESTY_EVAL_PRE_CONFIGURE=""
ARG _RESTY_CONFIG_DEPS="--with-pcre \
    --with-cc-opt='-DNGX_LUA_ABORT_AT_PANIC -I/usr/local/openresty/pcre2/include' \
    --with-ld-opt='-L/usr/local/openresty/pcre2/lib -Wl,-rpath,/usr/local/openresty/pcre2/lib' \
    "

LABEL resty_image_base="${RESTY_IMAGE_BASE}"
LABEL resty_image_tag="${RESTY_IMAGE_TAG}"
LABEL resty_config_options="${RESTY_CONFIG_OPTIONS}"
LABEL resty_config_deps="${_RESTY_CONFIG_DEPS}"

RUN apk add --no-cache --virtual .build-deps build-base coreutils curl gd-dev linux-headers make perl-dev ${RESTY_ADD_PACKAGE_BUILDDEPS} \
    && cd /tmp \
    && if [ -n "${RESTY_EVAL_PRE_CONFIGURE}" ]; then eval $(echo ${RESTY_EVAL_PRE_CONFIGURE}); fi \
    && curl -fSL https://downloads.example.org/openresty-${RESTY_VERSION}.tar.gz | tar xz \
    && cd openresty-${RESTY_VERSION} \
    && eval ./configure -j${RESTY_J} ${_RESTY_CONFIG_DEPS} ${RESTY_CONFIG_OPTIONS} \
    && make -j${RESTY_J} && make -j${RESTY_J} install \
    && apk del .build-deps \
    && mkdir -p /var/run/openresty \
    && ln -sf /dev/stdout /usr/local/openresty/nginx/logs/access.log

ENV PATH=$PATH:/usr/local/openresty/luajit/bin:/usr/local/openresty/nginx/sbin:/usr/local/openresty/bin
COPY nginx.conf /usr/local/openresty/nginx/conf/nginx.conf
CMD ["/usr/local/openresty/bin/openresty", "-g", "daemon off;"]
# Use SIGQUIT instead of default SIGTERM to cleanly drain requests
STOPSIGNAL SIGQUIT
