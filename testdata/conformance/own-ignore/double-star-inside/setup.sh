umask 022
printf 'a/**/b\n.dockerignore\n' > .dockerignore; mkdir -p a/x/y; touch a/b a/x/b a/x/y/b a/keep b
