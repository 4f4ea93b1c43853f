FROM node:20-bullseye
ENV DEBIAN_FRONTEND=noninteractive \
    ELECTRON_CACHE=/cache/electron ELECTRON_BUILDER_CACHE=/cache/builder \
    USE_HARD_LINKS=false
RUN dpkg --add-architecture i386 && apt-get -qq update && apt-get -qq install -y --no-install-recommends \
      bsdtar build-essential libopenjp2-tools rpm \
      # for tests
      xvfb libgtk-3-0 libnss3 libasound2 \
      # for Windows packages
      wine wine32 wine64 \
 && rm -rf /var/lib/apt/lists/*
RUN echo 'Xvfb :99 -screen 0 1280x1024x24 > /dev/null 2>&1 &' > /usr/local/bin/start-x && chmod +x /usr/local/bin/start-x
ENV DISPLAY=:99.0
WORKDIR /project
CMD /bin/bash -c 'start-x && npm ci && npm run "${TARGET:-dist}"'
