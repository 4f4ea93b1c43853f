umask 022
printf '*.md\n!a.md\n!b.md\na.md\n' > .dockerignore; for f in a b c; do echo $f > $f.md; done
