# syntax=docker/dockerfile:1
FROM alpine:3.20
ARG SITE=example.org
COPY <<robots.txt <<humans.txt <<"raw.txt" /var/www/
User-agent: *
Disallow: /private
Host: ${SITE:-localhost}
robots.txt
Made by: people of $SITE
humans.txt
Nothing here is expanded: ${SITE} $HOME \$ "quotes" 'too'
raw.txt
COPY <<-TABBED /etc/tabbed.conf
	[section]
		key = value
no tab here
	TABBED
COPY --chown=1000:1000 --chmod=0750 <<'run' /usr/local/bin/run
#!/bin/sh
exec "$@"
run
RUN cat /var/www/*.txt
