FROM ubuntu:24.04
ARG PYTHONS="3.9 3.10 3.11 3.12 3.13"
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update && apt-get install -y software-properties-common && add-apt-repository -y ppa:example/pythons \
 && for v in $PYTHONS; do \
      apt-get install -y "python${v}" "python${v}-dev" "python${v}-venv" $( [ "$v" = 3.9 ] && echo python3.9-distutils ) ; \
    done \
 && apt-get clean
RUN --mount=type=cache,target=/root/.cache/pip pip install --break-system-packages tox==4.15.1
WORKDIR /src
VOLUME /src/.tox
ENTRYPOINT ["tox"]
