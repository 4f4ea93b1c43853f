# A cross SDK for a board: binutils, kernel headers, C library and compiler, in the order in which they need each other.
ARG TARGET=arm-none-linux-musleabihf
FROM debian:bookworm AS host
RUN apt-get update && apt-get install -y --no-install-recommends \
      bison bzip2 ca-certificates file flex g++ gawk libgmp-dev libmpc-dev libmpfr-dev make patch rsync texinfo wget xz-utils \
    && rm -rf /var/lib/apt/lists/*
ARG TARGET
ENV TARGET=${TARGET} PREFIX=/opt/sdk MAKEFLAGS=-j4
ENV PATH=${PREFIX}/bin:${PATH} SYSROOT=${PREFIX}/${TARGET}
WORKDIR /build

FROM host AS binutils
ADD --checksum=sha256:ae9a5789e23459e59606e6714723f2d3ffc31c03174191ef0d015bdf06007450 https://ftp.example.org/binutils-2.42.tar.xz .
RUN <<'EOF'
set -eu
tar xf binutils-2.42.tar.xz --strip-components=1
mkdir obj && cd obj
../configure --target="$TARGET" --prefix="$PREFIX" --with-sysroot="$SYSROOT" --disable-nls --disable-werror
make
make install-strip
EOF

FROM host AS headers
ARG LINUX=6.6.35
RUN wget -qO- "https://cdn.example.org/linux-${LINUX}.tar.xz" | tar -xJ --strip-components=1 \
    && make ARCH="$(case ${TARGET%%-*} in (arm*) echo arm ;; (aarch64) echo arm64 ;; (*) echo "${TARGET%%-*}" ;; esac)" \
            INSTALL_HDR_PATH="${SYSROOT}" headers_install

FROM host AS compiler-sources
ADD https://ftp.example.org/gcc-13.3.0.tar.xz .
ADD https://git.example.org/libc/musl.git#v1.2.5 musl
COPY patches/gcc/*.patch patches/
RUN tar xf gcc-13.3.0.tar.xz && rm gcc-13.3.0.tar.xz \
    && for patch in patches/*.patch; do \
         [ -e "$patch" ] || continue; \
         # "-f": never ask
         patch -f -p1 -d gcc-13.3.0 < "$patch" || { echo "does not apply: ${patch##*/}" >&2; exit 1; }; \
       done

FROM compiler-sources AS sdk
COPY --from=binutils /opt/sdk /opt/sdk
COPY --from=headers /opt/sdk /opt/sdk
RUN set -eux; \
    mkdir -p first second; \
    # 1. a compiler without a library
    ( cd first; \
      ../gcc-13.3.0/configure --target="$TARGET" --prefix="$PREFIX" --with-sysroot="$SYSROOT" --with-native-system-header-dir=/include \
        --enable-languages=c --without-headers --with-newlib --disable-shared --disable-threads --disable-libssp; \
      make all-gcc all-target-libgcc; \
      make install-gcc install-target-libgcc ); \
    # 2. the library
    ( cd musl; \
      CROSS_COMPILE="$TARGET-" ./configure --host="$TARGET" --prefix=/ ; \
      make; \
      make install DESTDIR="$SYSROOT" ); \
    # 3. all of it
    ( cd second; \
      ../gcc-13.3.0/configure --target="$TARGET" --prefix="$PREFIX" --with-sysroot="$SYSROOT" --with-native-system-header-dir=/include \
        --enable-languages=c,c++ --disable-multilib; \
      make; \
      make install-strip )
RUN printf '#include <stdio.h>\nint main(void) { puts("hi"); return 0; }\n' | "$TARGET-gcc" -static -x c -o /tmp/hi - && file /tmp/hi

FROM debian:bookworm-slim
ARG TARGET
COPY --link --from=sdk /opt/sdk /opt/sdk
ENV PATH=/opt/sdk/bin:$PATH \
    CC=${TARGET}-gcc CXX=${TARGET}-g++ AR=${TARGET}-ar \
    PKG_CONFIG_LIBDIR=/opt/sdk/${TARGET}/lib/pkgconfig
WORKDIR /project
CMD ["make"]
