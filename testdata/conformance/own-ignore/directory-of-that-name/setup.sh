mkdir .dockerignore; echo f > .dockerignore/g; echo f > f
