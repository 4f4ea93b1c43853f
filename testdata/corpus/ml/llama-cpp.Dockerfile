ARG UBUNTU=24.04
FROM ubuntu:$UBUNTU AS compile
ARG TARGETARCH
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates cmake g++ git ninja-build
ADD https://git.example.org/ml/inference.git#b3259 /engine
WORKDIR /engine
RUN options="-DNATIVE=OFF"; \
    if [ "$TARGETARCH" = arm64 ]; then options="$options -DARM_ARCH=armv8.2-a+dotprod"; \
    elif [ "$TARGETARCH" != amd64 ]; then echo "slow on '$TARGETARCH'" >&2; fi; \
    cmake -G Ninja -B out $options && ninja -C out
RUN find out -name '*.so*' -exec install -D -t /dist/lib {} + ; install -D -t /dist/bin out/bin/*

FROM ubuntu:$UBUNTU AS common
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=compile /dist/lib /usr/local/lib
RUN ldconfig

FROM common AS chat
COPY --from=compile /dist/bin/chat /usr/local/bin/
ENTRYPOINT [ "chat" ]

FROM common AS serve
COPY --from=compile /dist/bin/serve /usr/local/bin/
ENV ENGINE_HOST=0.0.0.0 ENGINE_THREADS=
EXPOSE 8080
ENTRYPOINT [ "serve" ]
CMD [ "--model", "/models/default.gguf", "--ctx-size", "4096" ]
