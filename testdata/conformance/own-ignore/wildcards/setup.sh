umask 022
printf 'a?\n[bd]1\nx\\*\n.dockerignore\n' > .dockerignore; touch a1 a12 b1 d1 c1 xy 'x*'
