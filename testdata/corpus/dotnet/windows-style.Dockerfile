# escape=`
# A file written on Windows: CRLF, backtick as escape.

FROM mcr.example.com/dotnet/sdk:8.0 AS build
SHELL ["pwsh", "-Command", "$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue';"]
WORKDIR /src
COPY . .
RUN Get-ChildItem -Recurse -Filter *.csproj | `
    ForEach-Object { `
        # restore one by one: the feed is slow
        dotnet restore $_.FullName; `
        if ($LASTEXITCODE -ne 0) { throw \"restore failed: $_\" } `
    }
RUN dotnet publish src\Host\Host.csproj -c Release -o C:\out; `
    Write-Host ('done: {0}' -f (Get-Date -Format "yyyy-MM-dd"))

FROM mcr.example.com/dotnet/runtime:8.0
COPY --from=build /src/out/ /app/
ENV CONFIG=C:\app\config `
    MODE="back``tick"
CMD ["dotnet", "/app/Host.dll"]
