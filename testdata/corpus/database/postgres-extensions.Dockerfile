# A server with two extensions built from source, the compiler left behind.
ARG PG=16
FROM postgres:${PG}-alpine AS toolchain
RUN apk add --no-cache build-base clang15 llvm15 git
WORKDIR /src

FROM toolchain AS vectors
ADD https://git.example.org/db/vectors.git#v0.7.1 .
RUN make OPTFLAGS="" && make install DESTDIR=/out

FROM toolchain AS cron
ADD --keep-git-dir=false https://git.example.org/db/cron.git#main:src .
RUN make && make install DESTDIR=/out

FROM postgres:${PG}-alpine
COPY --link --from=vectors /out /
COPY --link --from=cron /out /
COPY --chown=postgres:postgres --chmod=0600 conf/*.conf /etc/postgres/
RUN echo "shared_preload_libraries = 'cron,vectors'" >> /usr/local/share/postgresql/postgresql.conf.sample
CMD ["postgres", "-c", "config_file=/etc/postgres/main.conf"]
