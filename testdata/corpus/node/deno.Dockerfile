FROM denoland/deno:alpine-1.44.4 AS cache
WORKDIR /app
ENV DENO_DIR=/deno-dir
COPY deps.ts deno.json deno.lock ./
RUN deno cache --lock=deno.lock deps.ts
COPY . .
RUN deno compile --allow-net --allow-env=PORT,DATABASE_URL --output /app/server main.ts

FROM denoland/deno:bin-1.44.4 AS bin

FROM gcr.example.com/distroless/cc-debian12
COPY --from=cache /app/server /server
EXPOSE 8000
ENTRYPOINT ["/server"]
