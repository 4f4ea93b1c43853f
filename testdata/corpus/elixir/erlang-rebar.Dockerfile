FROM erlang:27-alpine AS build
RUN apk add --no-cache git && mkdir -p /buildroot/rel
WORKDIR /buildroot
COPY rebar.config rebar.lock ./
RUN rebar3 as prod compile --deps_only
COPY apps/ apps/
COPY config/ config/
RUN rebar3 as prod release -o /rel
FROM alpine:3.20
RUN apk add --no-cache ncurses-libs openssl libstdc++ libgcc
COPY --from=build /rel /
EXPOSE 8080 4369 9100-9155
STOPSIGNAL SIGTERM
ENTRYPOINT ["/node/bin/node"]
CMD ["foreground"]
