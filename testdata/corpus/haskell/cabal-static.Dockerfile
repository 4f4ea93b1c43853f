FROM alpine:3.20 AS build
RUN apk add --no-cache ghc cabal musl-dev gmp-dev gmp-static zlib-dev zlib-static
WORKDIR /src
COPY cabal.project* *.cabal ./
RUN cabal update && cabal build --only-dependencies --enable-executable-static exe:render
COPY . .
RUN cabal install exe:render --enable-executable-static --installdir=/out --install-method=copy \
 && { ldd /out/render 2>&1 | grep -qi 'not a valid dynamic' || echo static; }
FROM scratch
COPY --from=build /out/render /render
ENTRYPOINT ["/render"]
