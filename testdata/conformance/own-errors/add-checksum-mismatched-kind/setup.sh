umask 022
touch f
