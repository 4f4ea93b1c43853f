#!/bin/sh
set -e
for script in $(find /docker-entrypoint.d/ -name '*.sh' | sort); do
    [ -x "$script" ] && "$script"
done
exec "$@"
