umask 022
echo '*.md' > .dockerignore; mkdir sub; printf '*.txt\n.dockerignore\n' > sub/.dockerignore; touch sub/a.md sub/b.txt
