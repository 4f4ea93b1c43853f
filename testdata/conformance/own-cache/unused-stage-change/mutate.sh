umask 022
echo 2 > f
