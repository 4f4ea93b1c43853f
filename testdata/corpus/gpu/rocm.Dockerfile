FROM rocm/dev-ubuntu-22.04:6.1-complete
ENV ROCM_PATH=/opt/rocm HIP_PLATFORM=amd
ENV PATH=$ROCM_PATH/bin:$ROCM_PATH/llvm/bin:$PATH
RUN apt-get update && apt-get install -y git python3-pip && pip3 install --no-cache-dir ninja numpy
ADD https://git.example.org/ml/kernels.git?ref=v1.2.0&subdir=hip /src
WORKDIR /src
RUN hipcc --offload-arch=gfx90a --offload-arch=gfx1100 -O3 -o /usr/local/bin/bench *.hip
CMD bench --device "${HIP_VISIBLE_DEVICES:-0}"
