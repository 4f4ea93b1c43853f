ARG UBUNTU_VERSION=24.04
FROM ubuntu:$UBUNTU_VERSION AS build
ARG TARGETARCH
ARG GGML_CPU_ARM_ARCH=armv8-a
RUN apt-get update && apt-get install -y build-essential cmake git libcurl4-openssl-dev
WORKDIR /app
COPY . .
RUN if [ "$TARGETARCH" = "amd64" ]; then \
        cmake -S . -B build -DGGML_NATIVE=OFF -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON; \
    elif [ "$TARGETARCH" = "arm64" ]; then \
        cmake -S . -B build -DGGML_NATIVE=OFF -DGGML_CPU_ARM_ARCH=${GGML_CPU_ARM_ARCH}; \
    else \
        echo "architecture '$TARGETARCH' is not known"; exit 1; \
    fi && cmake --build build -j $(nproc)
RUN mkdir -p /app/lib && find build -name "*.so" -exec cp {} /app/lib \;

FROM ubuntu:$UBUNTU_VERSION AS base
RUN apt-get update && apt-get install -y libgomp1 curl && apt autoremove -y && apt clean -y && rm -rf /tmp/* /var/tmp/* && find /var/cache/apt/archives /var/lib/apt/lists -not -name lock -type f -delete
COPY --from=build /app/lib/ /app

FROM base AS light
COPY --from=build /app/build/bin/cli /app/
WORKDIR /app
ENTRYPOINT [ "/app/cli" ]

FROM base AS server
ENV LLAMA_ARG_HOST=0.0.0.0
COPY --from=build /app/build/bin/server /app/
WORKDIR /app
HEALTHCHECK CMD [ "curl", "-f", "http://localhost:8080/health" ]
ENTRYPOINT [ "/app/server" ]
