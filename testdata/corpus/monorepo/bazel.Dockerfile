FROM debian:bookworm-slim AS bazel
RUN apt-get update && apt-get install -y --no-install-recommends build-essential ca-certificates curl git python3 unzip zip && rm -rf /var/lib/apt/lists/*
ARG TARGETARCH
ADD --chmod=755 https://downloads.example.org/bazelisk-linux-${TARGETARCH} /usr/local/bin/bazel
COPY .bazelversion .bazelrc /ws/
WORKDIR /ws
RUN bazel version

FROM bazel AS build
COPY MODULE.bazel MODULE.bazel.lock BUILD.bazel ./
COPY tools tools
COPY services services
ARG PACKAGE=//services/gateway:gateway_deploy
RUN --mount=type=cache,id=bazel-disk,target=/bazel-disk \
    --mount=type=cache,id=bazel-repo,target=/bazel-repo,sharing=locked \
    bazel --output_user_root=/tmp/bazel build \
      --disk_cache=/bazel-disk --repository_cache=/bazel-repo \
      --stamp --embed_label="${VERSION:-dev}" \
      -- "$PACKAGE" \
    && mkdir /out && cp -L "$(bazel cquery --output=files "$PACKAGE" 2>/dev/null | head -n1)" /out/app

FROM gcr.example.com/distroless/base-debian12
COPY --from=build /out/app /app
ENTRYPOINT ["/app"]
