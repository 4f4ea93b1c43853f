umask 022
printf './x/../b\na//c\n.dockerignore\n' > .dockerignore; mkdir a; touch b a/c d
