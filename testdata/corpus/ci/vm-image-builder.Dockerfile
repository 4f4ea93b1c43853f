FROM fedora:40
RUN dnf -y install --setopt=install_weak_deps=False \
      btrfs-progs cpio dosfstools e2fsprogs erofs-utils gdisk git-core mtools qemu-img \
      squashfs-tools systemd-ukify systemd-udev xfsprogs zstd \
 && dnf clean all

ENV IMAGE_SIZE=4G IMAGE_FORMAT=qcow2
ARG ROOT_UUID=4f68bce3-e8cd-4db1-96e7-fbcaf984b709

# What goes to the disk, as repart wants it: one file a partition.
COPY <<ESP <<ROOT <<HOME /usr/lib/repart.d/
[Partition]
Type=esp
Format=vfat
SizeMinBytes=512M
CopyFiles=/efi:/
ESP
[Partition]
Type=root
UUID=${ROOT_UUID}
Format=erofs
CopyFiles=/rootfs:/
Minimize=best
ROOT
[Partition]
Type=home
Format=ext4
SizeMinBytes=\${IMAGE_SIZE}
HOME

RUN <<EOF
#!/bin/bash
set -euo pipefail
shopt -s nullglob
cd /usr/lib/repart.d
n=10
for file in ESP ROOT HOME; do
	mv "$file" "$n-${file,,}.conf"
	((n += 10))
done
EOF

COPY --chmod=0755 <<'EOF' /usr/bin/make-image
#!/bin/bash
set -euo pipefail
usage() { cat <<-TEXT
	usage: ${0##*/} OUTPUT
	  IMAGE_SIZE    size of the home partition ($IMAGE_SIZE)
	  IMAGE_FORMAT  raw or qcow2 ($IMAGE_FORMAT)
	TEXT
}
[[ $# == 1 ]] || { usage >&2; exit 2; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
systemd-repart --empty=create --size=auto --offline=yes --seed=random "$work/disk.raw"
case "$IMAGE_FORMAT" in
	raw) mv "$work/disk.raw" "$1" ;;
	*) qemu-img convert -c -O "$IMAGE_FORMAT" "$work/disk.raw" "$1" ;;
esac
EOF

VOLUME /rootfs /efi
ENTRYPOINT ["make-image"]
CMD ["/dev/stdout"]
