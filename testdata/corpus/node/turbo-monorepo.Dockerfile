# syntax=docker/dockerfile:1.7-labs
ARG APP=web
FROM node:20-slim AS base
RUN corepack enable && corepack prepare pnpm@9.4.0 --activate
ENV TURBO_TELEMETRY_DISABLED=1

FROM base AS prune
ARG APP
WORKDIR /repo
COPY . .
RUN pnpm dlx turbo@2 prune --scope="@acme/${APP}" --docker

FROM base AS installer
WORKDIR /repo
COPY --from=prune /repo/out/json/ .
RUN --mount=type=cache,id=pnpm-store,target=/root/.local/share/pnpm/store pnpm install --frozen-lockfile
COPY --from=prune /repo/out/full/ .
ARG APP TURBO_TEAM
RUN --mount=type=secret,id=TURBO_TOKEN,env=TURBO_TOKEN \
    pnpm turbo run build --filter="@acme/${APP}..." ${TURBO_TEAM:+--team="$TURBO_TEAM"}

FROM node:20-slim
ARG APP
WORKDIR /app
COPY --from=installer --exclude=**/*.map --exclude=**/.turbo /repo/apps/${APP}/ ./
CMD ["node", "server.js"]
