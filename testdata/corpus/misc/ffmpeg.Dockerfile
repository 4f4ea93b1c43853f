FROM alpine:3.20 AS build
ARG PREFIX=/opt/ffmpeg
ARG MAKEFLAGS="-j4"
ARG CODECS="x264 x265 vpx opus mp3lame dav1d"
RUN apk add --no-cache build-base nasm pkgconf $(for c in $CODECS; do case $c in x264|x265) echo "$c-dev";; vpx|dav1d) echo "${c}-dev" | sed 's/^vpx/libvpx/';; opus) echo opus-dev;; mp3lame) echo lame-dev;; esac; done)
ADD --checksum=sha256:4f1b0a9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a https://www.example.org/releases/ffmpeg-7.0.1.tar.xz /src.tar.xz
RUN mkdir /src && tar -xJf /src.tar.xz -C /src --strip-components=1 && cd /src \
 && ./configure --prefix="${PREFIX}" --enable-gpl --disable-doc --disable-debug --enable-pic \
      $(for c in $CODECS; do printf -- ' --enable-lib%s' "$c"; done) --extra-libs="-lpthread -lm" \
 && make ${MAKEFLAGS} install
FROM alpine:3.20
ARG PREFIX=/opt/ffmpeg
COPY --from=build ${PREFIX}/bin/ff* /usr/local/bin/
RUN apk add --no-cache lame-libs libvpx opus x264-libs x265-libs libdav1d
ENTRYPOINT ["ffmpeg", "-hide_banner"]
CMD ["-h"]
