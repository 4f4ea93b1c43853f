FROM python:3.11-slim AS deps
COPY dist/src.app/deps@pex.pex /deps.pex
RUN PEX_TOOLS=1 /usr/local/bin/python3.11 /deps.pex venv --scope=deps --compile /bin/app
FROM python:3.11-slim AS srcs
COPY dist/src.app/srcs@pex.pex /srcs.pex
RUN PEX_TOOLS=1 /usr/local/bin/python3.11 /srcs.pex venv --scope=srcs --compile /bin/app
FROM python:3.11-slim
ENTRYPOINT ["/bin/app/pex"]
COPY --from=deps /bin/app /bin/app
COPY --from=srcs /bin/app /bin/app
