umask 022
echo '*.md' > .dockerignore
