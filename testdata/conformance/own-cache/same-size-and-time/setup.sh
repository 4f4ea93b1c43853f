umask 022
echo 1 > f; touch -d @1000000000 f
