umask 022
touch f; chown 1000:1000 f
