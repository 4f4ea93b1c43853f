umask 022
mkdir d; echo a > d/a; echo k > d/keep.md; echo x > d/x.md
