umask 022
printf sss > s
