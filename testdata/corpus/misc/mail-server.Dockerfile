FROM alpine:3.20 AS filters
RUN apk add --no-cache build-base libmilter-dev
COPY milter/ /src/
RUN make -C /src CFLAGS='-O2 -Wall -DPREFIX=\"/usr\"' && install -D /src/milter /out/usr/sbin/milter

FROM alpine:3.20
LABEL org.opencontainers.image.title="mail" \
      org.opencontainers.image.description='postfix, dovecot & rspamd in one "pod"'

RUN apk add --no-cache \
      dovecot \
      dovecot-lmtpd \
      dovecot-pigeonhole-plugin \
      postfix \
      postfix-pcre \
      rspamd \
      rspamd-controller \
      tini

COPY --from=filters /out/ /

RUN set -eux; \
    # master.cf: the service "smtp" takes no login, "submission" nothing else
    postconf -M -e 'submission/inet=submission inet n - n - - smtpd'; \
    postconf -P 'submission/inet/smtpd_tls_security_level=encrypt' \
                'submission/inet/smtpd_sasl_auth_enable=yes' \
                'submission/inet/smtpd_client_restrictions=permit_sasl_authenticated,reject'; \
    # main.cf
    postconf -e \
      'maillog_file = /dev/stdout' \
      'mydestination = localhost' \
      'mynetworks = 127.0.0.0/8 [::1]/128' \
      'smtpd_milters = inet:localhost:11332' \
      'milter_default_action = accept' \
      'virtual_transport = lmtp:unix:private/lmtp' \
      'virtual_mailbox_domains = ${domains}' \
    ; \
    newaliases; \
    sed -i -E \
      -e 's|^#?(log_path) =.*|\1 = /dev/stderr|' \
      -e '/^!include auth-system/ s/^/#/' \
      /etc/dovecot/conf.d/*.conf; \
    sievec /etc/dovecot/sieve || true

COPY <<'SIEVE' /etc/dovecot/sieve/spam.sieve
require ["fileinto", "imap4flags"];
# header set by the filter
if header :contains "X-Spam" "Yes" {
  addflag "\\Seen";
  fileinto "Junk";
  stop;
}
SIEVE

COPY --chmod=0755 <<'START' /start
#!/bin/sh
set -e
: "${MAIL_DOMAINS:?a list of domains}"
postconf -e "domains = $(echo "$MAIL_DOMAINS" | tr ' ' ',')"
rspamd -u rspamd -g rspamd
dovecot
exec postfix start-fg
START

VOLUME /var/mail /var/spool/postfix /var/lib/rspamd
EXPOSE 25 143 465 587 993 11334/tcp
HEALTHCHECK --interval=1m CMD printf 'EHLO localhost\r\nQUIT\r\n' | nc -w 2 127.0.0.1 25 | grep -q '^250 '
ENTRYPOINT ["/sbin/tini", "-g", "--"]
CMD ["/start"]
