FROM python:3.12-slim
SHELL ["/usr/local/bin/python3", "-c"]
RUN import pathlib; \
    pathlib.Path("/data").mkdir(); \
    [pathlib.Path(f"/data/{n:03}").write_text("x" * n) for n in range(10)]
RUN <<EOF
import hashlib, pathlib

for path in sorted(pathlib.Path("/data").iterdir()):
    print(path.name, hashlib.sha256(path.read_bytes()).hexdigest()[:8])
EOF
ENTRYPOINT print("the entry point is Python too")
