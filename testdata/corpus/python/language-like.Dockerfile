FROM buildpack-deps:bookworm
ENV PATH /opt/python/bin:$PATH
ENV LANG C.UTF-8
RUN apt-get update && apt-get install -y --no-install-recommends libbluetooth-dev tk-dev uuid-dev && rm -rf /var/lib/apt/lists/*
ENV SIGNER 7169605F62C751356D054A26A821E680E5FA6305
ENV RELEASE 3.12.4
RUN set -eux; \
	\
	wget -O p.tar.xz "https://www.example.org/ftp/python/${RELEASE%%[a-z]*}/Python-$RELEASE.tar.xz"; \
	wget -O p.tar.xz.asc "https://www.example.org/ftp/python/${RELEASE%%[a-z]*}/Python-$RELEASE.tar.xz.asc"; \
	home="$(mktemp -d)"; \
	gpg --homedir "$home" --keyserver hkps://keys.example.org --recv-keys "$SIGNER"; \
	gpg --homedir "$home" --verify p.tar.xz.asc p.tar.xz; \
	rm -r "$home" p.tar.xz.asc; \
	mkdir -p /tmp/python && tar -C /tmp/python --strip-components=1 -xJf p.tar.xz && rm p.tar.xz; \
	\
	cd /tmp/python; \
	flags="$(dpkg-buildflags --get CFLAGS)"; \
	./configure \
		--prefix=/opt/python \
		--enable-optimizations \
		--enable-shared \
		--with-lto \
		--with-ensurepip=no \
	; \
	make -j "$(nproc)" "EXTRA_CFLAGS=${flags:-} -fno-semantic-interposition" "PROFILE_TASK=-m test --pgo -x test_asyncio"; \
	# the rpath replaces an entry in ld.so.conf
	make -j "$(nproc)" LDFLAGS="-Wl,-rpath='\$\$ORIGIN/../lib'" python; \
	make install; \
	cd / && rm -rf /tmp/python; \
	find /opt/python -depth \
		\( \
			\( -type d -a \( -name test -o -name tests -o -name idle_test \) \) \
			-o \( -type f -a \( -name '*.pyc' -o -name '*.a' \) \) \
		\) -exec rm -rf '{}' + \
	; \
	for name in python pip pydoc; do ln -sfv "${name}3" "/opt/python/bin/$name"; done; \
	python3 -c 'import ssl, sqlite3, sys; print(sys.version.split()[0])'
CMD ["python3"]
