# A compiler from source, with libraries where the loader finds them.
FROM buildpack-deps:bookworm
ENV GPG_KEYS \
# release manager one
	B215C1633BCA0477615F1B35A5B3A004745C015A \
# release manager two
	33C235A34C46AA3FFB293709A328C3A2C3C45C06
ENV MIRRORS \
		https://one.example.org/releases \
		https://two.example.org/gnu
ENV RELEASE 14.1.0
# Release date, for those who rebuild: 2024-05-07
RUN set -ex; \
	apt-get update; apt-get install -y --no-install-recommends dpkg-dev flex; rm -r /var/lib/apt/lists/*; \
	got=; \
	for mirror in $MIRRORS; do \
		if curl -fL "$mirror/gcc-$RELEASE/gcc-$RELEASE.tar.xz" -o /tmp/c.tar.xz; then \
			got=yes; \
			break; \
		fi; \
	done; \
	[ "$got" = yes ]; \
	export GNUPGHOME="$(mktemp -d)"; \
	for key in $GPG_KEYS; do gpg --batch --keyserver keys.example.org --recv-keys "$key"; done; \
	mkdir -p /usr/src/c /tmp/obj; tar -C /usr/src/c --strip-components=1 -xJf /tmp/c.tar.xz; \
	cd /usr/src/c; ./contrib/download_prerequisites; \
	{ rm *.tar.* || true; }; \
	cd /tmp/obj; \
	/usr/src/c/configure --build="$(dpkg-architecture -qDEB_BUILD_GNU_TYPE)" --disable-multilib --enable-languages=c,c++,fortran,go; \
	make -j "$(nproc)" && make install-strip; \
	rm -rf /tmp/obj /usr/src/c /tmp/c.tar.xz "$GNUPGHOME"; \
	echo '/usr/local/lib64' > /etc/ld.so.conf.d/000-local-lib.conf; \
	ldconfig -v
