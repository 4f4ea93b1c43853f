# syntax=docker/dockerfile:1
FROM --platform=$BUILDPLATFORM mcr.example.com/dotnet/sdk:8.0-jammy-aot AS build
ARG TARGETARCH
RUN case "$TARGETARCH" in arm64) apt-get update && apt-get install -y --no-install-recommends gcc-aarch64-linux-gnu ;; esac
WORKDIR /source
COPY --link *.csproj nuget.config ./
RUN --mount=type=cache,id=nuget,target=/root/.nuget/packages \
    --mount=type=secret,id=feed_password,required=false \
    FEED_PASSWORD="$(cat /run/secrets/feed_password 2>/dev/null)" dotnet restore -r linux-${TARGETARCH/amd64/x64}
COPY --link . .
RUN --mount=type=cache,id=nuget,target=/root/.nuget/packages dotnet publish --no-restore -o /app && rm /app/*.dbg

FROM mcr.example.com/dotnet/runtime-deps:8.0-jammy-chiseled
WORKDIR /app
COPY --link --from=build /app .
USER $APP_UID
ENTRYPOINT ["./tool"]
