umask 022
mkdir -p d/s; touch d/f d/x; chmod 640 d/f; chmod 700 d/x; chmod 750 d/s
