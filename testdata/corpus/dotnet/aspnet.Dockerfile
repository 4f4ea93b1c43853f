ARG FRAMEWORK=8.0
FROM --platform=$BUILDPLATFORM mcr.example.com/dotnet/sdk:${FRAMEWORK} AS sdk
ARG TARGETARCH CONFIGURATION=Release
ENV DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=true
WORKDIR /repo
COPY Directory.Build.props Directory.Packages.props global.json ./
COPY ["src/Shop Api/Shop.Api.csproj", "src/Shop Api/"]
COPY ["src/Shop Domain/Shop.Domain.csproj", "src/Shop Domain/"]
RUN dotnet restore "src/Shop Api/Shop.Api.csproj" --arch $TARGETARCH
COPY src src

FROM sdk AS test
COPY test test
RUN dotnet test test --logger 'trx;LogFileName=/results.trx' --filter "Category!=Slow&Category!=Db"

FROM sdk AS publish
RUN dotnet publish "src/Shop Api" -c $CONFIGURATION -a $TARGETARCH --no-restore -o /publish -p:UseAppHost=false

FROM mcr.example.com/dotnet/aspnet:${FRAMEWORK}-alpine
ENV ASPNETCORE_HTTP_PORTS=8080 DOTNET_gcServer=1
EXPOSE 8080
COPY --from=publish /publish /srv
WORKDIR /srv
USER 1654
ENTRYPOINT ["dotnet", "Shop.Api.dll"]
