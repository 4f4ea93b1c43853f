umask 022
echo x > a; ln a b; ln -s a l; tar --owner=:0 --group=:0 --mtime=@1000000000 -cf t.tar a b l; rm a b l
