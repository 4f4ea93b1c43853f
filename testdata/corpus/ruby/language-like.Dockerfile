FROM debian:bookworm-slim
RUN set -eux; \
	mkdir -p /opt/ruby/etc; \
	printf '%s\n' 'install: --no-document' 'update: --no-document' > /opt/ruby/etc/gemrc
ENV LANG C.UTF-8
ENV RUBY_RELEASE=3.3.3
ENV RUBY_SUM=83c05b2177ee9c335b631b29b8c077b4770166d02fa527f3a9f6a40d13f3cce2
RUN set -eux; \
	keep="$(apt-mark showmanual | tr '\n' ' ')"; \
	apt-get update; \
	apt-get install -y --no-install-recommends \
		autoconf bison ca-certificates gcc libffi-dev libgdbm-dev libssl-dev libyaml-dev make ruby rustc wget xz-utils zlib1g-dev; \
	wget -O r.tar.xz "https://cache.example.org/pub/ruby-$RUBY_RELEASE.tar.xz"; \
	echo "$RUBY_SUM r.tar.xz" | sha256sum --check --strict; \
	mkdir /build; tar -C /build --strip-components=1 -Jxf r.tar.xz; rm r.tar.xz; \
	cd /build; \
# do not warn on an unsafe "PATH": /tmp is world-writable in containers
	{ \
		echo '#define ENABLE_PATH_CHECK 0'; \
		echo; \
		cat file.c; \
	} > file.c.new && mv file.c.new file.c; \
	autoconf; ./configure --prefix=/opt/ruby --disable-install-doc --enable-shared --enable-yjit; \
	make -j"$(nproc)" install; \
	cd /; rm -r /build; \
	apt-mark auto '.*' >/dev/null; [ -z "$keep" ] || apt-mark manual $keep; \
	ldd /opt/ruby/bin/ruby | awk '$2 == "=>" && $3 !~ "^/opt" { print $3 }' | sort -u | xargs -r dpkg -S | cut -d : -f 1 | sort -u | xargs -r apt-mark manual; \
	apt-get purge -y --auto-remove
ENV GEM_HOME /opt/bundle
ENV BUNDLE_SILENCE_ROOT_WARNING=1 BUNDLE_APP_CONFIG="$GEM_HOME"
ENV PATH $GEM_HOME/bin:/opt/ruby/bin:$PATH
RUN mkdir "$GEM_HOME" && chmod 1777 "$GEM_HOME"
CMD [ "irb" ]
