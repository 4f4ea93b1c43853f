umask 022
echo 1 > f
