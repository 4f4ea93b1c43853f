FROM debian:bookworm-slim
ENV VARNISH_SIZE 100M
ENV VMOD_DEPS="automake curl libtool make pkg-config python3-sphinx"
ARG PKGVER=7.5.0
ARG DISTVER=7.5.0
ARG PKGCOMMIT=2e6e5a1
ARG SHASUM=fca61b983139e1aac61c4546d12a1a3ab9807dbb1d8314571e3148c93ff72b5d

RUN set -e; \
	BASE_PKGS="curl dpkg-dev debhelper devscripts equivs git pkg-config apt-utils fakeroot"; \
	export DEBIAN_FRONTEND=noninteractive; \
	export DEBCONF_NONINTERACTIVE_SEEN=true; \
	mkdir -p /work/varnish /pkgs; \
	apt-get update; \
	apt-get install -y --no-install-recommends $BASE_PKGS libgetdns10; \
	\
	# create users and groups with fixed IDs
	adduser --uid 1000 --quiet --system --no-create-home --home /nonexistent --group varnish; \
	adduser --uid 1001 --quiet --system --no-create-home --home /nonexistent --ingroup varnish vcache; \
	\
	# varnish
	cd /work/varnish; \
	curl -f https://downloads.example.org/varnish-${DISTVER}.tgz -o $DISTVER.tgz; \
	echo "${SHASUM}  $DISTVER.tgz" | sha256sum -c - ; \
	tar xzf $DISTVER.tgz --strip 1; \
	sed -i -e "s|@VERSION@|$PKGVER|"  "debian/changelog"; \
	mk-build-deps --install --tool="apt-get -o Debug::pkgProblemResolver=yes --yes" debian/control; \
	dpkg-buildpackage -us -uc -j"$(nproc)"; \
	apt-get -y --no-install-recommends install ../*.deb; \
	\
	# clean up and set permissions
	apt-get -y purge --auto-remove varnish-build-deps $BASE_PKGS; \
	rm -rf /var/lib/apt/lists/* /work/; \
	chown varnish /var/lib/varnish; \
	echo 'vcl 4.1; backend default none;' > /etc/varnish/default.vcl
WORKDIR /etc/varnish
COPY scripts/ /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/docker-varnish-entrypoint"]
USER varnish
EXPOSE 80 8443
CMD []
