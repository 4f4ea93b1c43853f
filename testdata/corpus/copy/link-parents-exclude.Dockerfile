# syntax=docker/dockerfile:1.20
FROM alpine:3.20 AS gen
RUN mkdir -p /gen/a/b /gen/c && touch /gen/a/b/1.txt /gen/a/2.log /gen/c/3.txt

FROM scratch
COPY --link a.txt /
COPY --link=true --from=gen /gen/c /c/
COPY --link=false b.txt /b/
COPY --parents src/**/*.proto include/./deep/*.h /protos/
COPY --parents=false x y /z/
COPY --from=gen --parents /gen/./a/**/*.txt /
COPY --exclude=*.md --exclude=**/*.tmp --exclude=!keep.md docs/ /docs/
ADD --exclude=.git --link vendor/ /vendor/
COPY --chmod=644 one /m/
COPY --chmod=0755 two* /m/
COPY --chmod=u+x,go-rwx three /m/
COPY --chmod=a=rX,u+w --chown=0:0 four /m/
COPY --chown=1000 five /o/
COPY --chown=:1000 six /o/
COPY --chown=app:app ["name with blanks.txt", "and [brackets].txt", "/o/"]
COPY --from=0 /gen/a/2.log /logs/
COPY --from=busybox:1.36 /bin/busybox /bin/sh
COPY te?t[0-9].* arr[[]0].txt /w/
