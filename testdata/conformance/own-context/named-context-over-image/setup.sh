umask 022
mkdir s; echo f > s/f
