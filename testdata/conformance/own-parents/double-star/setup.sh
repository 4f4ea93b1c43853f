umask 022
mkdir -p a/b/c a/e; echo 0 > a/0.txt; echo 1 > a/b/1.txt; echo 2 > a/b/c/2.txt; echo x > a/b/x.md; echo y > a/e/y.md
