ARG CUDA=12.4.1
ARG DISTRIBUTION=ubuntu22.04
FROM registry.example.com/nvidia/cuda:${CUDA}-devel-${DISTRIBUTION} AS wheel
ARG PYTHON=3.11
ARG ARCHITECTURES="8.0 8.6 9.0+PTX"
ENV TORCH_CUDA_ARCH_LIST=${ARCHITECTURES} MAX_JOBS=8
RUN printf 'tzdata tzdata/%s\n' 'Areas select Etc' 'Zones/Etc select UTC' | debconf-set-selections \
    && apt-get update && apt-get install -y --no-install-recommends ccache python${PYTHON}-dev python${PYTHON}-venv \
    && python${PYTHON} -m venv /venv
ENV PATH=/venv/bin:/usr/local/cuda-${CUDA%.*}/bin:$PATH
WORKDIR /train
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=requirements,target=/requirements \
    pip install -r /requirements/build.txt -r /requirements/cuda.txt
COPY kernels kernels
COPY pyproject.toml setup.py ./
RUN --mount=type=cache,target=/root/.cache/ccache \
    --mount=type=bind,source=.git,target=.git \
    CC="ccache gcc" python -m build --wheel --no-isolation -o /wheels

FROM registry.example.com/nvidia/cuda:${CUDA}-runtime-${DISTRIBUTION}
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=wheel /venv /venv
ENV PATH=/venv/bin:$PATH
RUN --mount=type=bind,from=wheel,src=/wheels,target=/wheels pip install /wheels/*.whl --no-deps
LABEL com.example.gpu="cuda>=${CUDA%.*}"
ENTRYPOINT ["torchrun", "--standalone"]
CMD ["--nproc-per-node=gpu", "-m", "train"]
