FROM scratch
COPY data/ /data/
LABEL org.opencontainers.image.title="data only" \
      org.opencontainers.image.licenses="CC0-1.0"
