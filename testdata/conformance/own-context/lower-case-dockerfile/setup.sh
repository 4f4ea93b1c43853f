umask 022
printf 'FROM busybox\nLABEL a=b\n' > dockerfile
