umask 022
mkdir a
