FROM node:20 AS builder
WORKDIR /workspace
COPY package.json package-lock.json nx.json tsconfig.base.json ./
RUN npm ci
COPY apps ./apps
COPY libs ./libs
ARG PROJECT=shop-api
ARG NX_REMOTE=""
ENV NX_DAEMON=false CI=true
RUN npx nx run-many --target=lint,test --projects="$PROJECT" --parallel=3 \
 && npx nx build "$PROJECT" --configuration=production

FROM node:20-alpine
ARG PROJECT=shop-api
WORKDIR /app
COPY --from=builder /workspace/dist/apps/${PROJECT} .
RUN npm install --omit=dev
CMD ["node", "main.js"]
