FROM fpco/stack-build-small:lts-22 AS dependencies
WORKDIR /work
COPY stack.yaml stack.yaml.lock package.yaml *.cabal ./
RUN --mount=type=cache,target=/root/.stack stack build --system-ghc --only-dependencies --fast

FROM dependencies AS build
COPY app app
COPY src src
RUN --mount=type=cache,target=/root/.stack \
    stack install --system-ghc --local-bin-path /out --ghc-options='-O2 -optl-s'

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libgmp10 netbase ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/service-exe /usr/local/bin/service
ENTRYPOINT ["service", "+RTS", "-N", "-A64m", "-RTS"]
