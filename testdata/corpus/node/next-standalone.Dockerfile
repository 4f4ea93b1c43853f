# check=skip=SecretsUsedInArgOrEnv;error=true
FROM node:20-alpine AS base

# Install what is needed, by whichever lock file there is
FROM base AS deps
RUN apk add --no-cache libc6-compat
WORKDIR /app
COPY package.json yarn.lock* package-lock.json* pnpm-lock.yaml* ./
RUN \
  if [ -f pnpm-lock.yaml ]; then corepack enable pnpm && pnpm i --frozen-lockfile; \
  elif [ -f yarn.lock ]; then yarn --frozen-lockfile; \
  elif [ -f package-lock.json ]; then npm ci; \
  else echo "no lock file" && exit 1; \
  fi

FROM base AS builder
WORKDIR /app
COPY --from=deps /app/node_modules ./node_modules
COPY . .
ENV NEXT_TELEMETRY_DISABLED 1
ARG SENTRY_AUTH_TOKEN
RUN npm run build

FROM base AS runner
WORKDIR /app
ENV NODE_ENV=production HOSTNAME="0.0.0.0" PORT=3000
RUN addgroup --system --gid 1001 nodejs && adduser --system --uid 1001 next
RUN mkdir .next && chown next:nodejs .next
COPY --from=builder /app/public ./public
COPY --from=builder --chown=next:nodejs /app/.next/standalone ./
COPY --from=builder --chown=next:nodejs /app/.next/static ./.next/static
USER next
EXPOSE 3000
CMD ["node", "server.js"]
