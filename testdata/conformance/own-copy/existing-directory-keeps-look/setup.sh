umask 022
mkdir -m 755 d; echo f > d/f
