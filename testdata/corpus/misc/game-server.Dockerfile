FROM steamcmd/steamcmd:ubuntu-22 AS download
ARG APP_ID=896660
RUN --mount=type=secret,id=steam,target=/run/steam,required=false \
    steamcmd +force_install_dir /server +login anonymous +app_update $APP_ID validate +quit | tee /log.txt; \
    grep -q 'fully installed' /log.txt
FROM debian:bookworm-slim
RUN useradd -m -u 1111 game
COPY --from=download --chown=game:game /server /server
ENV NAME="My server" WORLD='Dedicated "one"' PASSWORD= PORT=2456
USER game
WORKDIR /server
VOLUME [ "/home/game/.config" ]
EXPOSE 2456-2458/udp
STOPSIGNAL SIGINT
CMD export LD_LIBRARY_PATH=./linux64:$LD_LIBRARY_PATH && \
    exec ./server.x86_64 -name "$NAME" -port "$PORT" -world "$WORLD" -password "${PASSWORD:?set one}"
