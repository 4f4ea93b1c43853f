# This is a comment, so what follows is no directive.
# syntax=docker/dockerfile:experimental
# escape=`
# check=skip=all
# unknown=directive
FROM alpine:3.20
RUN echo a \
    b
