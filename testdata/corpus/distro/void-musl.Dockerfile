FROM ghcr.example.com/void-linux/void-musl:latest
RUN xbps-install -Suy xbps && xbps-install -Suy && xbps-install -y socat runit-void && rm -rf /var/cache/xbps
COPY sv/ /etc/sv/
RUN for s in /etc/sv/app*; do ln -s "$s" /etc/runit/runsvdir/default/; done
STOPSIGNAL HUP
CMD ["runit-init"]
