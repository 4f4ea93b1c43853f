umask 022
echo f > f
