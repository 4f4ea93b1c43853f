FROM debian:bookworm-slim
ENV CACHE_SIZE 100M
ARG RELEASE=7.5.0
ARG SUM=fca61b983139e1aac61c4546d12a1a3ab9807dbb1d8314571e3148c93ff72b5d
ARG BUILD_DEPS="automake curl gcc libtool make pkg-config python3-docutils"
RUN set -e; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get update; \
	apt-get install -y --no-install-recommends $BUILD_DEPS libpcre2-dev; \
	\
	# two accounts: one for the manager, one for the worker
	for who in varnish vcache; do \
		adduser --system --group --no-create-home "$who"; \
	done; \
	\
	# the server
	cd "$(mktemp -d)"; \
	curl -fsSL "https://downloads.example.org/varnish-$RELEASE.tgz" -o v.tgz; \
	echo "$SUM  v.tgz" | sha256sum -c -; \
	tar xf v.tgz --strip 1; ./configure --prefix=/usr --localstatedir=/var; \
	make -j4 && make install; \
	\
	# and out
	apt-get purge -y --auto-remove $BUILD_DEPS; \
	rm -rf /var/lib/apt/lists/*; \
	printf 'vcl 4.1;\nbackend default none;\n' > /etc/varnish.vcl
USER varnish
EXPOSE 80 8443
ENTRYPOINT exec varnishd -F -f /etc/varnish.vcl -s malloc,$CACHE_SIZE "$@"
CMD []
