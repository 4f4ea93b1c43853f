umask 022
mkdir -p d/s; echo a > d/a; echo b > d/s/b; echo c > d/c
