umask 022
mkdir -p d/s; chmod 750 d/s; echo f > d/s/f
