FROM fedora:40
RUN dnf -y install systemd && dnf clean all && systemctl mask systemd-remount-fs.service dev-hugepages.mount
COPY <<UNIT /etc/systemd/system/app@.service
[Unit]
Description=App %i
After=network-online.target

[Service]
Type=notify
Environment=INSTANCE=%i
ExecStart=/usr/bin/app --instance=%i --home=\${STATE_DIRECTORY}
ExecReload=/bin/kill -HUP \$MAINPID
StateDirectory=app/%i

[Install]
WantedBy=multi-user.target
UNIT
COPY <<TIMER <<SERVICE /etc/systemd/system/
[Timer]
OnCalendar=*-*-* 03:00:00
TIMER
[Service]
ExecStart=/usr/bin/true
SERVICE
RUN cd /etc/systemd/system && mv TIMER clean.timer && mv SERVICE clean.service && systemctl enable app@main clean.timer
STOPSIGNAL SIGRTMIN+3
VOLUME [ "/sys/fs/cgroup", "/run" ]
CMD [ "/sbin/init" ]
