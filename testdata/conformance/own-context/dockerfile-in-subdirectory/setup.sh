umask 022
mkdir sub; touch a b; printf 'FROM busybox\nCOPY . /c/\n' > sub/x.Dockerfile; echo b > sub/x.Dockerfile.dockerignore
