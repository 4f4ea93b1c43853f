FROM busybox:1.36-musl AS bb
FROM scratch
COPY --from=bb /bin/ /bin/
COPY --from=bb /etc/passwd /etc/group /etc/
COPY <<inittab /etc/inittab
::sysinit:/etc/rcS
::respawn:/bin/httpd -f -p 80 -h /www
::ctrlaltdel:/bin/umount -a -r
inittab
COPY --chmod=755 <<rcS /etc/rcS
#!/bin/sh
mount -t proc proc /proc
hostname \$(cat /etc/hostname)
rcS
WORKDIR /www
RUN ["/bin/busybox", "sh", "-c", "echo ok > index.html"]
STOPSIGNAL SIGUSR2
ENTRYPOINT ["/bin/init"]
