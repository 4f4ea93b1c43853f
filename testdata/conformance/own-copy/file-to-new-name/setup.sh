umask 022
mkdir -m 700 d; echo f > f
