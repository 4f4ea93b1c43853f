umask 022
echo f > f; mkdir d; touch d/o; touch -d @1000000000 f; touch -d @-86400 d/o
