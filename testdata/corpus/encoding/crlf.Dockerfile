# syntax=docker/dockerfile:1
# Saved by an editor that ends lines with CR LF.
FROM alpine:3.20
ARG NAME=world
RUN apk add --no-cache \
    bash \
    # comment in the middle
    curl
ENV GREETING="hello ${NAME}" \
    OTHER=plain
COPY docker-entrypoint.sh /usr/local/bin/
RUN chmod +x /usr/local/bin/docker-entrypoint.sh
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["bash"]
