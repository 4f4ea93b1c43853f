umask 022
mkdir d; touch d/f
