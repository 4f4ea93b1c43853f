FROM hugomods/hugo:exts-0.127.0 AS site
ARG HUGO_BASEURL=
ENV HUGO_BASEURL=${HUGO_BASEURL} HUGO_ENV=production
WORKDIR /src
COPY . /src
RUN hugo --minify --gc --enableGitInfo=false

FROM scratch AS html
COPY --from=site /src/public /

FROM busybox:1.36-uclibc
RUN adduser -D static
USER static
WORKDIR /home/static
COPY --from=html / .
EXPOSE 3000
CMD ["busybox", "httpd", "-f", "-v", "-p", "3000"]
