umask 022
touch f; chmod 644 f
