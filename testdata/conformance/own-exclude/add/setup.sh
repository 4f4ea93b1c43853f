umask 022
mkdir d; echo a > d/a; echo x > d/x.md
