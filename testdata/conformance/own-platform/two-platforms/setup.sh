umask 022
echo amd64 > f-amd64; echo arm64 > f-arm64
