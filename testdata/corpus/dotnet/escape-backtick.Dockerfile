# syntax=docker/dockerfile:1
# escape=`
ARG TAG=3.20
FROM alpine:${TAG}
LABEL note="a \ is a plain character here" `
      path="C:\Program Files\App" `
      quoted="say `"hi`""
ENV WINDIR=C:\Windows DOLLAR=`$HOME
RUN printf '%s\n' "one" `
    "two" `

    && echo C:\not\an\escape
COPY dir\file.txt /srv/
WORKDIR /srv\sub
CMD echo %PATH% `
    && echo end
