umask 022
echo new > f
