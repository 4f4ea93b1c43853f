umask 022
echo a > f-amd64; echo a > f-arm64
