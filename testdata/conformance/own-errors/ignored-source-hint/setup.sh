umask 022
touch a.md; printf 'x\n*.md\n' > .dockerignore
