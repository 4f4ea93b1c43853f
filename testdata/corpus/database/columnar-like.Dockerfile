# A column store: a static binary that runs on two libcs; the archive is chosen by platform.
ARG CHANNEL=stable
FROM --platform=$BUILDPLATFORM alpine:3.19 AS download
ARG CHANNEL TARGETARCH VERSION=24.5.1
WORKDIR /dist
RUN <<-FETCH
	set -eu
	case "$TARGETARCH" in
		amd64) suffix=x86_64 ;;
		arm64) suffix=aarch64 ;;
		*) echo "no build for '$TARGETARCH'" >&2; exit 1 ;;
	esac
	for part in server client common; do
		wget -q "https://packages.example.org/$CHANNEL/columnar-$part-$VERSION.$suffix.tgz"
		tar -xzf "columnar-$part-$VERSION.$suffix.tgz" --strip-components 1
	done
	rm ./*.tgz
FETCH

FROM alpine:3.19
ENV TZ=UTC LANG=C.UTF-8
RUN apk add --no-cache bash gcompat libstdc++ tzdata \
 && addgroup -S -g 9000 columnar \
 && adduser -S -D -H -u 9000 -G columnar -g "Column store,,," columnar
COPY --from=download --chown=root:root --chmod=a+rX,go-w /dist/usr /usr
COPY --from=download --chown=columnar:columnar --exclude=*.example --exclude=users.d /dist/etc/columnar /etc/columnar
RUN mkdir -p /var/lib/columnar /var/log/columnar \
 && chown columnar:columnar /var/lib/columnar /var/log/columnar \
 && chmod u=rwx,g=rx,o= /var/lib/columnar
VOLUME /var/lib/columnar
USER columnar
EXPOSE 8123 9000 9004-9005 9009
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/columnar-server", "--config-file=/etc/columnar/config.xml"]
