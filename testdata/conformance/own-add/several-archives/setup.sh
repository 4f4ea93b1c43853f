umask 022
echo 1 > f; tar --owner=:0 --group=:0 --mtime=@1000000000 -cf 1.tar f; echo 2 > f; tar --owner=:0 --group=:0 --mtime=@1000000000 -cf 2.tar f; echo p > plain
