FROM registry.example.com/nvidia/cuda:12.4.1-base-ubuntu22.04
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip tini && rm -rf /var/lib/apt/lists/*
RUN --mount=type=cache,target=/root/.cache/pip pip3 install "server[all]==0.5.0" 'transformers>=4.41,<5'
ARG MODEL=example/tiny-chat
ENV MODEL=${MODEL} HF_HOME=/models HF_HUB_OFFLINE=0
RUN --mount=type=secret,id=hub_token,target=/run/hub_token,mode=0444,required=false \
    python3 - <<'PY'
import os, pathlib
token = pathlib.Path("/run/hub_token")
print("token" if token.exists() else "no token", "for", os.environ["MODEL"])
PY
VOLUME ["/models"]
EXPOSE 8000
HEALTHCHECK --start-period=10m --start-interval=5s --interval=30s --timeout=5s --retries=5 CMD ["curl", "-sf", "http://localhost:8000/health"]
ENTRYPOINT ["tini", "-g", "--", "/bin/sh", "-c", "exec python3 -m server --model \"$MODEL\" \"$@\"", "server"]
