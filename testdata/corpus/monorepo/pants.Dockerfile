# Dependencies and sources of one PEX as two layers; both files are made outside.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim AS unpack
ENV PEX_TOOLS=1
COPY dist/services/orders/*.pex /pex/
RUN for scope in deps srcs; do \
      "python${PYTHON:-3}" "/pex/$scope.pex" venv --scope=$scope --compile "/venv-$scope/app"; \
    done

FROM python:${PYTHON}-slim
COPY --from=unpack /venv-deps /opt
COPY --from=unpack /venv-srcs /opt
ENTRYPOINT ["/opt/app/pex"]
