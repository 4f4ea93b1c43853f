FROM fedora:40 AS build
RUN dnf -y --setopt=install_weak_deps=False --setopt=tsflags=nodocs install \
        gcc gcc-c++ meson ninja-build 'pkgconfig(glib-2.0)' 'pkgconfig(libsystemd)' \
    && dnf clean all
COPY . /src
RUN meson setup /build /src --buildtype=release -Db_lto=true --prefix=/usr \
    && meson compile -C /build \
    && meson test -C /build --print-errorlogs \
    && DESTDIR=/dest meson install -C /build

FROM fedora:40
RUN dnf -y install glib2 systemd-libs && dnf clean all
COPY --from=build /dest/usr /usr
ENTRYPOINT ["/usr/bin/daemon"]
CMD ["--foreground", "--log-level=info"]
