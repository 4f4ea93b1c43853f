# syntax=docker/dockerfile:1.9
FROM registry.example.com/astral/uv:0.2 AS uv
FROM python:3.12-slim AS build
SHELL ["sh", "-exc"]
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/app
RUN --mount=from=uv,source=/uv,target=/usr/local/bin/uv,ro \
    --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    <<EOT
cd /tmp && cp /uv.lock /pyproject.toml .
uv sync --locked --no-dev --no-install-project
EOT
COPY . /src
WORKDIR /src
RUN --mount=from=uv,source=/uv,target=/usr/local/bin/uv \
    --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --no-editable

FROM python:3.12-slim
ENV PATH=/app/bin:$PATH
RUN <<EOT
groupadd -r app
useradd -r -d /app -g app -N app
EOT
STOPSIGNAL SIGINT
COPY --from=build --chown=app:app /app /app
USER app
WORKDIR /app
RUN <<EOT
python -V
python -Im site
python -Ic 'import service'
EOT
CMD ["uvicorn", "service:app", "--host=0.0.0.0"]
