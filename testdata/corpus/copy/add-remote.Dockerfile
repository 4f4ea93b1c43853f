# syntax=docker/dockerfile:1
FROM alpine:3.20
ADD https://files.example.org/readme.txt /docs/
ADD https://files.example.org/data/archive.tar.gz?raw=1&x=y /downloads/archive.tar.gz
ADD --checksum=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 https://files.example.org/empty /empty
ADD --unpack=true https://files.example.org/rootfs.tar.xz /rootfs
ADD --unpack=false local.tar.gz /kept-packed/
ADD --chmod=0755 --chown=65534:65534 https://files.example.org/bin/tool /usr/local/bin/tool
ADD https://git.example.org/team/app.git /git/default
ADD https://git.example.org/team/app.git#main /git/branch
ADD https://git.example.org/team/app.git#v1.2.3:docs /git/subdir
ADD --keep-git-dir=true https://git.example.org/team/app.git#refs/pull/12/head /git/pull
ADD --checksum=6bd2c5ba7d0c4f4e1f0a2a1a3f9e8d7c6b5a4938 https://git.example.org/team/app.git?tag=v2&submodules=false /git/query
ADD git://git.example.org/old.git /git/old
ADD ssh://git@git.example.org/team/key.git /git/ssh
ADD one.tar two.tar.bz2 three.tar.zst /unpacked/
ADD ["a b.tar", "/spaces/"]
