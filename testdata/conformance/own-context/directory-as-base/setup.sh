mkdir -p c/d; echo 1 > c/f; echo 2 > c/d/g; echo no > c/ignored; echo ignored > c/.dockerignore; chmod 700 c/d
