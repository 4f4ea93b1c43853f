FROM scratch
ADD rootfs.tar.xz /
ENV PATH=/usr/bin:/bin
CMD ["/bin/sh"]
