# A release of an umbrella's web application; the run image has no Elixir.
ARG ELIXIR=1.17.1
ARG OTP=27.0
ARG DEBIAN=bookworm-20240612-slim
ARG BUILD_IMAGE="hexpm/elixir:${ELIXIR}-erlang-${OTP}-debian-${DEBIAN}"

FROM ${BUILD_IMAGE} as release
ENV MIX_ENV=prod LANG=C.UTF-8 ERL_FLAGS="+JPperf true"
RUN apt-get update && apt-get install -y --no-install-recommends git g++ make nodejs && rm -rf /var/lib/apt/lists/*
RUN mix do local.hex --force, local.rebar --force
WORKDIR /umbrella
COPY --parents mix.exs mix.lock apps/*/mix.exs config/*.exs ./
RUN --mount=type=cache,target=/root/.cache/rebar3 mix do deps.get --only prod, deps.compile
COPY . .
RUN mix compile --warnings-as-errors \
 && mix cmd --app shop_web mix assets.deploy \
 && mix release shop --path /release

FROM debian:${DEBIAN}
RUN apt-get update && apt-get install -y --no-install-recommends libncurses6 libssl3 libstdc++6 && rm -rf /var/lib/apt/lists/* \
 && useradd -r -m -d /srv/shop shop
WORKDIR /srv/shop
COPY --from=release --chown=shop:shop /release .
USER shop
ENV PHX_SERVER=true RELEASE_COOKIE_FILE=/run/secrets/cookie
EXPOSE 4000 4369 9100-9105
HEALTHCHECK --start-period=20s CMD bin/shop rpc 'IO.puts("up")'
ENTRYPOINT ["bin/shop"]
CMD ["start"]
