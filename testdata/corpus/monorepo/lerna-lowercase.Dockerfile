# All keywords in lower case: they are case-insensitive.
from node:18-alpine as base
workdir /repo
copy lerna.json package.json package-lock.json ./
copy packages/core/package.json packages/core/
copy packages/cli/package.json packages/cli/
run npm ci

from base as build
copy packages packages
env NODE_OPTIONS=--max-old-space-size=4096
run npx lerna run build --stream --scope={core,cli}

from node:18-alpine
label org.opencontainers.image.title=cli
copy --from=build /repo/packages/cli/dist /usr/local/lib/cli
run ln -s ../lib/cli/bin.js /usr/local/bin/cli
user node
healthcheck none
entrypoint ["cli"]
