umask 022
echo > config.json
