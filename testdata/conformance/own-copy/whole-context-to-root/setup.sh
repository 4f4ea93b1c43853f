umask 022
mkdir etc; echo n > etc/new; echo t > top
