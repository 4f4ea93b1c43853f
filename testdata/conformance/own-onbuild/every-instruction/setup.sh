echo 1 > f; mkdir d; echo 2 > d/g
