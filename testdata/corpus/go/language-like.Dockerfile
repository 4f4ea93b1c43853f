# A tool chain image: a release archive checked by sum, bootstrapped if the platform has none.
FROM debian:bookworm-slim AS unpack
ENV PATH /usr/local/go/bin:$PATH
ENV GOLANG_VERSION 1.22.4
RUN set -eux; \
	apt-get update && apt-get install -y --no-install-recommends ca-certificates wget; \
	cpu="$(dpkg --print-architecture)"; url=; \
	case "$cpu" in \
		'amd64') url='https://dl.example.org/go1.22.4.linux-amd64.tar.gz'; sum='ba79d4526102575196273416239cca418a651e049c2b099f3159db85e7bade7d';; \
		'arm64') url='https://dl.example.org/go1.22.4.linux-arm64.tar.gz'; sum='a8e177c354d2e4a1b61020aca3c6e6b5d4a0fd34e5a3d2c0f08a29f5f5f5a8c1';; \
		'riscv64') echo "building from source takes a while" ;; \
		*) echo "what is '$cpu'?" >&2; exit 1 ;; \
	esac; \
	if [ -n "$url" ]; then \
		wget -qO go.tgz "$url"; \
		echo "$sum *go.tgz" | sha256sum -c -; \
		tar -C /usr/local -xzf go.tgz; \
		rm go.tgz; \
	else \
		apt-get install -y golang-go gcc; \
		( \
			export GOROOT_BOOTSTRAP="$(go env GOROOT)"; \
			cd /usr/local/go/src; \
# "make.bash" and not "all.bash": tests need what a build has not
			./make.bash; \
		); \
	fi; \
	touch -t 202406040000 /usr/local/go

FROM buildpack-deps:bookworm-scm
RUN apt-get update && apt-get install -y --no-install-recommends g++ gcc libc6-dev make pkg-config && rm -rf /var/lib/apt/lists/*
ENV GOLANG_VERSION 1.22.4
# a container has one tool chain; do not fetch others
ENV GOTOOLCHAIN=local
ENV GOPATH /go
ENV PATH $GOPATH/bin:/usr/local/go/bin:$PATH
COPY --from=unpack --link /usr/local/go/ /usr/local/go/
RUN install -d -m 1777 "$GOPATH" "$GOPATH/src" "$GOPATH/bin"
WORKDIR $GOPATH
