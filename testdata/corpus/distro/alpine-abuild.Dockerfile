FROM alpine:edge
RUN echo "@testing https://mirror.example.org/alpine/edge/testing" >> /etc/apk/repositories
RUN apk add --no-cache alpine-sdk ccache doas 'cmake>3.20' hello@testing && adduser -D -G abuild packager && echo "permit nopass :abuild" > /etc/doas.d/abuild.conf
USER packager
WORKDIR /home/packager
COPY --chown=packager:abuild APKBUILD *.patch pkg/
RUN abuild-keygen -a -n && cd pkg && abuild checksum && abuild -r
