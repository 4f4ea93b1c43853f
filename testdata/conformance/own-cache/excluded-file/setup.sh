umask 022
mkdir d; echo f > d/f; echo 1 > d/x.md
