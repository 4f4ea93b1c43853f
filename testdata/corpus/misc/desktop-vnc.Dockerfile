# A small desktop in a browser: X server, window manager, VNC and its web page, each a service.
# syntax is not a directive here, the comment above ended them
FROM debian:bookworm-slim AS base
ARG DEBIAN_FRONTEND=noninteractive
ARG USER_NAME=desk
ARG USER_ID=1000

# --- packages ----------------------------------------------------------------
RUN set -eux; \
	apt-get update; \
	apt-get install -y --no-install-recommends \
		# display
		xvfb \
		x11vnc \
		openbox \
		xterm \
		# fonts: without them, squares
		fonts-dejavu-core \
		fonts-noto-cjk \
		# services
		supervisor \
		dbus-x11 \
		# web
		novnc \
		websockify \
	; \
	rm -rf /var/lib/apt/lists/*

# --- account -----------------------------------------------------------------
RUN set -eux; \
	useradd --create-home --uid "${USER_ID}" --shell /bin/bash "${USER_NAME}"; \
	install -d -m 1777 /tmp/.X11-unix; \
	install -d -o "${USER_NAME}" -g "${USER_NAME}" -m 0700 "/run/user/${USER_ID}"; \
	ln -s /usr/share/novnc/vnc.html /usr/share/novnc/index.html

# --- configuration -----------------------------------------------------------
ENV DISPLAY=:1 \
    SCREEN="1280x800x24" \
    XDG_RUNTIME_DIR=/run/user/${USER_ID} \
    LANG=C.UTF-8

COPY <<EOF /etc/supervisor/conf.d/display.conf
[program:x]
priority=10
command=Xvfb \$DISPLAY -screen 0 %(ENV_SCREEN)s -nolisten tcp
autorestart=true

[program:manager]
priority=20
command=openbox
user=${USER_NAME}
environment=HOME="/home/${USER_NAME}",USER="${USER_NAME}"

[program:vnc]
priority=30
command=x11vnc -forever -shared -rfbport 5900 -rfbauth /run/secrets/vnc
startretries=10

[program:web]
priority=40
command=websockify --web /usr/share/novnc 6080 localhost:5900
EOF

COPY --chmod=0755 <<'EOF' /usr/local/bin/wait-for-display
#!/bin/sh
# $1: seconds
left="${1:-30}"
until xdpyinfo >/dev/null 2>&1; do
	left=$((left - 1))
	[ "$left" -gt 0 ] || { echo "no display on $DISPLAY" >&2; exit 1; }
	sleep 1
done
EOF

# --- programs ----------------------------------------------------------------
FROM base AS browser
RUN apt-get update \
 && apt-get install -y --no-install-recommends firefox-esr \
 && rm -rf /var/lib/apt/lists/*
RUN printf '%s\n' '{"policies": {"DisableTelemetry": true, "Homepage": {"URL": "about:blank"}}}' > /etc/firefox-policies.json
COPY <<-'MENU' /etc/xdg/openbox/menu.xml
	<?xml version="1.0"?>
	<openbox_menu>
		<menu id="root-menu" label="Programs">
			<item label="Browser &amp; more"><action name="Execute"><command>firefox-esr --new-window "about:blank"</command></action></item>
		</menu>
	</openbox_menu>
	MENU

FROM browser
EXPOSE 5900 6080
VOLUME ["/home/desk"]
HEALTHCHECK --interval=20s --timeout=5s --start-period=30s CMD wait-for-display 3
STOPSIGNAL SIGTERM
CMD ["supervisord", "--nodaemon", "--user", "root"]
