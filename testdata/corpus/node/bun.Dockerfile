FROM oven/bun:1.1-alpine AS bun
WORKDIR /service
COPY package.json bun.lockb bunfig.toml ./

FROM bun AS production
RUN --mount=type=cache,target=/root/.bun/install/cache bun install --production --frozen-lockfile

FROM bun AS bundle
RUN --mount=type=cache,target=/root/.bun/install/cache bun install --frozen-lockfile
COPY tsconfig.json .
COPY src src
RUN bun test --bail \
 && bun build src/main.ts --target=bun --minify --sourcemap=external --outdir=/bundle

FROM oven/bun:1.1-distroless
COPY --from=production /service/node_modules /service/node_modules
COPY --from=bundle /bundle /service
WORKDIR /service
EXPOSE 3000/tcp
CMD [ "main.js" ]
