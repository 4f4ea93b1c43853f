umask 022
mkdir d; echo f > d/f
