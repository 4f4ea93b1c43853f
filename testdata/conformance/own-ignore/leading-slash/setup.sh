umask 022
printf '/a\nb\n.dockerignore\n' > .dockerignore; mkdir s; touch a b s/a
