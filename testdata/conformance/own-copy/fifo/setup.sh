umask 022
mkdir d; mkfifo d/p; chmod 620 d/p
