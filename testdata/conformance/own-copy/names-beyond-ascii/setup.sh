umask 022
echo 1 > 'a b'; echo 2 > ž
