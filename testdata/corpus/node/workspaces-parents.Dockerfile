# syntax=docker/dockerfile:1.20
FROM node:22-alpine AS manifests
WORKDIR /w
# every manifest in its own place, nothing else
COPY --parents package.json package-lock.json packages/*/package.json services/*/package.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --workspaces --include-workspace-root

FROM manifests AS build
COPY --parents --exclude=**/node_modules --exclude=**/*.test.ts packages services tsconfig.json ./
RUN npm run build --workspaces --if-present

FROM node:22-alpine
WORKDIR /srv
COPY --parents --from=build /w/./services/*/dist /w/./packages/*/dist ./
COPY --from=build /w/node_modules node_modules
CMD ["node", "services/gateway/dist/index.js"]
