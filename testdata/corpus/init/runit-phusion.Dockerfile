FROM phusion/baseimage:noble-1.0.0
ENV HOME=/root
COPY --chmod=0755 <<'RUN' /etc/service/queue/run
#!/bin/sh
exec chpst -u nobody /usr/local/bin/queue 2>&1
RUN
ADD --chmod=0755 *.init.sh /etc/my_init.d/
RUN touch /etc/service/sshd/down && ls -l /etc/service/*/run
CMD ["/sbin/my_init", "--skip-startup-files", "--quiet"]
