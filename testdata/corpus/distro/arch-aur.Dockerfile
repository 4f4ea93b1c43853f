FROM archlinux:latest
RUN pacman-key --init && pacman-key --populate archlinux \
 && pacman --sync --refresh --sysupgrade --noconfirm --needed base-devel git reflector \
 && reflector --latest 5 --sort rate --save /etc/pacman.d/mirrorlist \
 && { yes | pacman -Scc; } >/dev/null 2>&1 || :
RUN <<'EOF'
useradd --create-home --groups wheel aur
printf '%%wheel ALL=(ALL:ALL) NOPASSWD: ALL\n' > /etc/sudoers.d/10-wheel
sed -i -e '/^#\?MAKEFLAGS=/c MAKEFLAGS="-j$(nproc)"' -e "/^PKGEXT=/s/'.*'/'.pkg.tar'/" /etc/makepkg.conf
EOF
USER aur
WORKDIR /home/aur
