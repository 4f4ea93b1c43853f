FROM opensuse/leap:15.6
RUN zypper --non-interactive --gpg-auto-import-keys refresh \
 && zypper --non-interactive install --no-recommends \
        apache2 apache2-mod_php8 php8 php8-mysql \
        timezone \
 && zypper clean --all
ENV APACHE_LOCK_DIR=/run APACHE_LOG_DIR=/var/log/apache2
RUN a2enmod php8 && a2enflag SSL || echo 'a2enmod: not here'
COPY vhosts.d/*.conf /etc/apache2/vhosts.d/
EXPOSE 80/tcp 443/TCP
CMD ["/usr/sbin/start_apache2", "-DFOREGROUND"]
