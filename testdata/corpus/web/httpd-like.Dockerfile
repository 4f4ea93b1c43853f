FROM debian:bookworm-slim
ENV PREFIX /opt/httpd
ENV PATH $PREFIX/bin:$PATH
WORKDIR $PREFIX
ENV RELEASE=2.4.59 PATCHES=""
RUN set -eux; \
	apt-get update; \
	apt-get install -y --no-install-recommends ca-certificates gcc libapr1-dev libaprutil1-dev libpcre2-dev libssl-dev make patch wget; \
	get() { \
		target="$1"; \
		for mirror in \
			'https://mirror.example.org/get?file=' \
			https://archive.example.org/dist/ \
		; do \
			if wget -q -O "$target" "$mirror$2" && test -s "$target"; then return 0; fi; \
		done; \
		return 1; \
	}; \
	get /tmp/httpd.tgz "httpd-$RELEASE.tar.gz"; \
	mkdir /tmp/build && tar -C /tmp/build -xf /tmp/httpd.tgz --strip-components=1; \
	( \
		cd /tmp/build; \
		for one in $PATCHES; do get "$one" "patches/$one"; patch -p1 < "$one"; done; \
		./configure --prefix="$PREFIX" --enable-ssl --enable-proxy --with-mpm=event; \
		make -j "$(nproc)" install; \
	); \
	rm -rf /tmp/* man manual; \
	sed -i -E \
		-e 's#^( *CustomLog) +"?[^ "]+"?#\1 /dev/stdout#' \
		-e 's#^( *ErrorLog) .*#\1 /dev/stderr#' \
		-e 's#^User .*#User www-data#; s#^Group .*#Group www-data#' \
		conf/httpd.conf; \
	httpd -t
STOPSIGNAL WINCH
EXPOSE 80
CMD ["httpd", "-DFOREGROUND"]
