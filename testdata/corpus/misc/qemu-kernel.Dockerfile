FROM debian:bookworm AS kernel
ARG LINUX=6.6.35
RUN apt-get update && apt-get install -y --no-install-recommends bc bison build-essential ca-certificates cpio flex kmod libelf-dev libssl-dev rsync wget xz-utils
RUN wget -qO- "https://cdn.example.org/linux/v${LINUX%%.*}.x/linux-${LINUX}.tar.xz" | tar -xJ -C /usr/src
WORKDIR /usr/src/linux-${LINUX}
COPY kernel.config .config
RUN scripts/config --enable VIRTIO_FS --disable DEBUG_INFO --set-str LOCALVERSION "-vm" && make olddefconfig && make -j"$(nproc)" bzImage modules
RUN make INSTALL_MOD_PATH=/out modules_install && cp arch/x86/boot/bzImage /out/

FROM alpine:3.20 AS initrd
COPY --from=kernel /out/lib/modules /initrd/lib/modules
COPY --chmod=0755 <<"EOF" /initrd/init
#!/bin/sh
mount -t devtmpfs none /dev; mount -t proc none /proc
exec /sbin/init "$@" <> /dev/console >&0 2>&1
EOF
RUN cd /initrd && find . -print0 | cpio --null -o --format=newc | gzip -9 > /initrd.gz

FROM scratch
COPY --from=kernel /out/bzImage /
COPY --from=initrd /initrd.gz /
