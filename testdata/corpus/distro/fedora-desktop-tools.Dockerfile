FROM registry.example.com/fedora/fedora:40
RUN dnf -y upgrade --refresh \
 && dnf -y install --setopt=install_weak_deps=False \
      '@Development Tools' \
      {gcc,clang,cmake}-$(rpm --eval '%{_arch}' 2>/dev/null || uname -m) \
      ShellCheck ripgrep fd-find \
 && dnf -y clean all \
 && rm -rf /var/cache/dnf /var/log/dnf*
RUN sed -i 's/^#\?\(%wheel.*NOPASSWD.*\)/\1/' /etc/sudoers && useradd -G wheel -m fed
USER fed
CMD ["/usr/bin/bash", "--login"]
