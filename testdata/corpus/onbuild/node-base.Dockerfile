FROM node:20-alpine
WORKDIR /service
RUN chown node /service
ONBUILD ARG NODE_ENV=production
ONBUILD ENV NODE_ENV $NODE_ENV
ONBUILD COPY --chown=node package*.json ./
ONBUILD RUN --mount=type=cache,target=/root/.npm npm ci ${NPM_FLAGS:-}
ONBUILD COPY --chown=node . .
ONBUILD USER node
CMD [ "node", "." ]
