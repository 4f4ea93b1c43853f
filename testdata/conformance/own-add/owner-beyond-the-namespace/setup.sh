umask 022
echo x > f; tar --owner=:3000000 --group=:3000001 --mtime=@1000000000 -cf t.tar f; rm f
