ARG VARIANT="3.12-bookworm"
FROM python:${VARIANT}
ARG NODE="none"
ARG USER_NAME=coder
RUN useradd -m -s /bin/bash "$USER_NAME" && install -d -o "$USER_NAME" /workspaces
RUN if [ "${NODE}" != "none" ]; then su "$USER_NAME" -c "umask 0002 && curl -fsSL https://nodes.example.org/install.sh | bash -s -- '${NODE}' 2>&1"; fi
COPY requirements*.txt /tmp/requirements/
RUN find /tmp/requirements -name '*.txt' -exec pip install --no-cache-dir -r {} \; \
   && rm -rf /tmp/requirements
# Things to switch on when needed:
# RUN apt-get update \
#     && apt-get -y install <something>
# USER <someone>
