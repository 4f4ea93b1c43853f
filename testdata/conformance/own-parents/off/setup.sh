umask 022
mkdir a; echo f > a/f
