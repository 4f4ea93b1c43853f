FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETOS TARGETARCH
WORKDIR /src
COPY . .
RUN EXT=$( [ "$TARGETOS" = windows ] && echo .exe ) \
 && GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o "/out/agent$EXT" .

FROM scratch AS binaries-linux
COPY --from=build /out/agent /
FROM scratch AS binaries-darwin
COPY --from=build /out/agent /
FROM scratch AS binaries-windows
COPY --from=build /out/agent.exe /
FROM binaries-$TARGETOS AS binaries
