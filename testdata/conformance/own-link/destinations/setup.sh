mkdir -p d/e; echo 1 > d/e/f; echo 2 > g; ln -s g l; chmod 700 d/e
