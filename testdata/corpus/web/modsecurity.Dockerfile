FROM owasp/modsecurity-crs:4-nginx-alpine-202405 AS crs
FROM nginx:1.27-alpine
COPY --from=crs --chown=nginx:nginx /opt/owasp-crs /opt/crs
COPY --from=crs /usr/lib/nginx/modules/*modsecurity*.so /usr/lib/nginx/modules/
COPY <<RULES /etc/modsecurity/main.conf
SecRuleEngine ${ENGINE:-DetectionOnly}
SecAction "id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level=${PARANOIA:-1}"
SecRule REQUEST_HEADERS:User-Agent "@rx (?i)^(bad|worse)\$" "id:1001,deny,status:403"
Include /opt/crs/rules/*.conf
RULES
ENV BACKEND=http://localhost:80
