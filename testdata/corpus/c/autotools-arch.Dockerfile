FROM archlinux:base-devel AS build
RUN pacman -Syu --noconfirm --needed git autoconf-archive && yes | pacman -Scc
RUN useradd -m builder && echo 'builder ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/builder
USER builder
WORKDIR /home/builder
RUN git clone --depth 1 https://git.example.org/aur/thing.git && cd thing && makepkg -si --noconfirm --nocheck
COPY --chown=builder . project/
RUN cd project && autoreconf -fi && ./configure CFLAGS='-O2 -pipe' LDFLAGS="-Wl,-O1,--sort-common" && make && make DESTDIR="$PWD/out" install

FROM archlinux:base
COPY --from=build /home/builder/project/out /
CMD ["/usr/local/bin/project"]
