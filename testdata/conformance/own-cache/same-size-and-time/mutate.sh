umask 022
echo 2 > f; touch -d @1000000000 f
