umask 022
mkdir -p d/s; echo a > d/a; echo x > d/x.md; echo y > d/s/y.md
