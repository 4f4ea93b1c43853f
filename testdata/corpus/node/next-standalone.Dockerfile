# check=skip=SecretsUsedInArgOrEnv;error=true
FROM node:20-alpine AS node
ENV NEXT_TELEMETRY_DISABLED 1
RUN apk add --no-cache libc6-compat
WORKDIR /site

FROM node AS modules
COPY package.json yarn.lock* package-lock.json* pnpm-lock.yaml* ./
RUN set -e; \
    for lock in *lock*; do \
      case "$lock" in \
        package-lock.json) exec npm ci ;; \
        yarn.lock)         exec yarn install --immutable ;; \
        pnpm-lock.yaml)    corepack enable; exec pnpm install --frozen-lockfile ;; \
      esac; \
    done; \
    echo "none of the lock files is there" >&2; exit 1

FROM modules AS compile
COPY . .
ARG UPLOAD_AUTH_TOKEN
RUN npx next build

FROM node
RUN adduser -S -u 3001 site && install -d -o site .next/cache
COPY --from=compile --chown=3001 /site/.next/standalone ./
COPY --from=compile --chown=3001 /site/.next/static .next/static
COPY --from=compile /site/public public
ENV NODE_ENV=production PORT=3000 HOSTNAME=::
USER site
EXPOSE $PORT
CMD ["node", "server.js"]
