umask 022
mkdir d; echo new > d/x
