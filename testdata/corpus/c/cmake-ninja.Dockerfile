FROM ubuntu:24.04 AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
    ca-certificates ccache cmake g++ git libboost-all-dev ninja-build \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.ccache \
    cmake -S . -B /build -G Ninja \
      -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_CXX_COMPILER_LAUNCHER=ccache \
      -DCMAKE_INSTALL_PREFIX=/usr/local \
      "-DCMAKE_CXX_FLAGS=-march=x86-64-v2 -DNAME=\\\"demo\\\"" \
    && cmake --build /build --parallel \
    && ctest --test-dir /build --output-on-failure \
    && DESTDIR=/stage cmake --install /build --strip

FROM ubuntu:24.04
RUN apt-get update && apt-get install -y --no-install-recommends libboost-program-options1.83.0 && rm -rf /var/lib/apt/lists/*
COPY --from=build /stage/ /
RUN ldconfig
ENTRYPOINT ["/usr/local/bin/demo"]
