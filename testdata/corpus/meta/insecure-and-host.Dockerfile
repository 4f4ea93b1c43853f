# syntax=docker/dockerfile:1.20
FROM alpine:3.20
RUN --security=insecure mount -t tmpfs none /mnt && df /mnt
RUN --network=host ip link
RUN --network=none --mount=type=cache,target=/c true
