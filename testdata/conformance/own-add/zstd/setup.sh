umask 022
echo x > f; tar --owner=:0 --group=:0 --mtime=@1000000000 -cf t.tar f; zstd -q t.tar -o t.tar.zst
