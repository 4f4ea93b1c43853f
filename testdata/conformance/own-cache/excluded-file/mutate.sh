umask 022
echo 2 > d/x.md
