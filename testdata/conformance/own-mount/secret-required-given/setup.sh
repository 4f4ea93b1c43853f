umask 022
echo sss > s
