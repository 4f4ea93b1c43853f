ARG NGINX=1.27.0
FROM nginx:${NGINX}-alpine AS modules
ARG NGINX
RUN apk add --no-cache build-base linux-headers pcre2-dev zlib-dev openssl-dev
ADD https://downloads.example.org/nginx-${NGINX}.tar.gz /src/nginx.tar.gz
ADD https://git.example.org/web/brotli.git#master /src/brotli
WORKDIR /src
RUN tar xf nginx.tar.gz && cd nginx-${NGINX} \
 && CONFIGURE="$(nginx -V 2>&1 | sed -n -e "s/^.*arguments: //p")" \
 && eval "./configure $CONFIGURE --add-dynamic-module=../brotli" \
 && make modules && mkdir /modules && cp objs/*.so /modules

FROM nginx:${NGINX}-alpine
COPY --from=modules /modules/ /usr/lib/nginx/modules/
RUN for m in /usr/lib/nginx/modules/*brotli*.so; do echo "load_module $m;"; done | cat - /etc/nginx/nginx.conf > /tmp/c && mv /tmp/c /etc/nginx/nginx.conf && nginx -t
