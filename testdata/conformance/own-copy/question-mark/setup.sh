umask 022
echo 0 > a.txt; echo 1 > a1.txt; echo 2 > a12.txt; mkdir a; echo x > a/b.txt
