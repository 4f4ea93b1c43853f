ARG CUDA=12.4.1
ARG OS=ubuntu22.04
FROM registry.example.com/nvidia/cuda:${CUDA}-cudnn-devel-${OS} AS build
ARG PYTHON_VERSION=3.11
ARG TORCH_CUDA_ARCH_LIST="7.0 7.5 8.0 8.6 8.9 9.0+PTX"
ENV TORCH_CUDA_ARCH_LIST=${TORCH_CUDA_ARCH_LIST} MAX_JOBS=8
RUN echo 'tzdata tzdata/Areas select Etc' | debconf-set-selections \
    && echo 'tzdata tzdata/Zones/Etc select UTC' | debconf-set-selections \
    && apt-get update -y && apt-get install -y ccache git software-properties-common \
    && apt-get install -y python${PYTHON_VERSION} python${PYTHON_VERSION}-dev python${PYTHON_VERSION}-venv \
    && update-alternatives --install /usr/bin/python3 python3 /usr/bin/python${PYTHON_VERSION} 1 \
    && ldconfig /usr/local/cuda-$(echo "$CUDA_VERSION" | cut -d. -f1,2)/compat/ || true
WORKDIR /workspace
COPY requirements-*.txt ./
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements-cuda.txt
COPY csrc csrc
COPY setup.py pyproject.toml ./
COPY kernels kernels
RUN --mount=type=cache,target=/root/.cache/ccache \
    --mount=type=bind,source=.git,target=.git \
    python3 setup.py bdist_wheel --dist-dir=dist --py-limited-api=cp38

FROM registry.example.com/nvidia/cuda:${CUDA}-runtime-${OS}
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN --mount=type=bind,from=build,src=/workspace/dist,target=/dist pip install /dist/*.whl --no-deps
LABEL com.example.gpu="cuda>=${CUDA%.*}"
ENTRYPOINT ["python3", "-m", "torch.distributed.run"]
