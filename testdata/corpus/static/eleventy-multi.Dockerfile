ARG NODE=22
FROM node:${NODE}-alpine AS npm
WORKDIR /s
COPY package.json package-lock.json .npmrc* ./
RUN npm ci --ignore-scripts

FROM npm AS en
COPY . .
RUN LOCALE=en npx eleventy --output=/out/en

FROM npm AS de
COPY . .
RUN LOCALE=de npx eleventy --output=/out/de --pathprefix=de

FROM nginx:alpine
COPY --from=en /out/en /usr/share/nginx/html/en
COPY --from=de /out/de /usr/share/nginx/html/de
COPY --from=1 /s/package.json /meta/
RUN ln -s en/index.html /usr/share/nginx/html/index.html
