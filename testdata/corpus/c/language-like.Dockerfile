# A compiler from source, with its libraries where the loader finds them.
FROM buildpack-deps:bookworm
ENV SIGNERS \
# first release manager
	B215C1633BCA0477615F1B35A5B3A004745C015A \
# second release manager
	33C235A34C46AA3FFB293709A328C3A2C3C45C06
ENV RELEASE 14.1.0
RUN set -ex; \
	mkdir /source /object; \
	home="$(mktemp -d)"; \
	for mirror in https://one.example.org/gnu https://two.example.org/releases; do \
		curl -fsSL "$mirror/gcc-$RELEASE.tar.xz" -o /source.tar.xz || continue; \
		curl -fsSL "$mirror/gcc-$RELEASE.tar.xz.sig" -o /source.sig && break; \
	done; \
	gpg --homedir "$home" --keyserver keys.example.org --recv-keys $SIGNERS; \
	gpg --homedir "$home" --verify /source.sig /source.tar.xz; \
	tar -xJf /source.tar.xz -C /source --strip-components=1; \
	( cd /source && ./contrib/download_prerequisites ); \
	cd /object; \
	/source/configure --disable-multilib --enable-languages=c,c++,fortran; \
	make -j "$(nproc)" install-strip; \
	rm -rf /source* /object "$home"; \
	echo /usr/local/lib64 > /etc/ld.so.conf.d/00-compiler.conf && ldconfig; \
# the distribution's own compiler steps aside
	for tool in gcc g++ gfortran; do \
		dpkg-divert --divert "/usr/bin/$tool.distribution" --rename "/usr/bin/$tool"; \
	done
