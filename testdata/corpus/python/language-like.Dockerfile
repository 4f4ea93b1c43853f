# An interpreter from source, without what only its own developers need.
FROM buildpack-deps:bookworm AS compile
ENV RELEASE 3.12.4
WORKDIR /usr/src/python
RUN set -eux; \
	\
	base="https://www.example.org/python/${RELEASE%%[a-z]*}"; \
	wget -q "$base/Python-$RELEASE.tar.xz" "$base/Python-$RELEASE.tar.xz.asc"; \
	gpg --keyserver hkps://keys.example.org --recv-keys 7169605F62C751356D054A26A821E680E5FA6305; \
	gpg --verify ./*.asc ./*.xz; \
	tar -xf ./*.xz --strip-components=1; \
	\
	hardening="$(dpkg-buildflags --get CFLAGS)"; \
	./configure --prefix=/opt/python --enable-optimizations --enable-shared --with-lto --without-ensurepip; \
	# the loader finds the library beside the program: "$ORIGIN" must pass make and the shell
	make -j "$(nproc)" "EXTRA_CFLAGS=${hardening:-} -fno-plt" LDFLAGS="-Wl,-rpath='\$\$ORIGIN/../lib'"; \
	make install DESTDIR=/stage; \
	cd /stage/opt/python; \
	find . \( -name test -o -name tests -o -name idlelib \) -type d -prune -exec rm -r {} +; \
	find . -type f \( -name '*.a' -o -name '*.py[co]' \) -delete

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libffi8 libsqlite3-0 libssl3 netbase tzdata && rm -rf /var/lib/apt/lists/*
COPY --from=compile /stage/ /
ENV PATH=/opt/python/bin:$PATH LANG=C.UTF-8
RUN cd /opt/python/bin && for name in python pydoc; do ln -s "${name}3" "$name"; done && python -c 'import ssl, sys; print(sys.version.split()[0], ssl.OPENSSL_VERSION)'
CMD ["python"]
