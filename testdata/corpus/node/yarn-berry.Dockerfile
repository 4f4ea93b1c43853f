FROM node:18-alpine3.19 AS builder
RUN apk add --no-cache libc6-compat python3 make g++
WORKDIR /srv
COPY .yarn/ .yarn/
COPY .yarnrc.yml .pnp.* package.json yarn.lock ./
RUN --mount=type=cache,target=/root/.yarn/berry/cache,sharing=locked yarn install --immutable
COPY . .
RUN yarn build && yarn workspaces focus --production

FROM node:18-alpine3.19
RUN addgroup -S app && adduser -S app -G app
WORKDIR /srv
COPY --from=builder --chown=app:app /srv/.yarn ./.yarn
COPY --from=builder --chown=app:app ["/srv/.pnp.cjs", "/srv/package.json", "./"]
COPY --from=builder --chown=app:app /srv/build ./build
USER app
ENTRYPOINT ["node", "-r", "./.pnp.cjs"]
CMD ["build/index.js"]
