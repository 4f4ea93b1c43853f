FROM registry.example.com/nvidia/tritonserver:24.05-py3 AS full
FROM registry.example.com/nvidia/tritonserver:24.05-py3-min
COPY --from=full /opt/tritonserver/bin /opt/tritonserver/bin
COPY --from=full /opt/tritonserver/lib /opt/tritonserver/lib
COPY --from=full /opt/tritonserver/backends/onnxruntime /opt/tritonserver/backends/onnxruntime
COPY --chmod=0444 models/ /models/
ENV LD_LIBRARY_PATH=/opt/tritonserver/backends/onnxruntime:$LD_LIBRARY_PATH
EXPOSE 8000-8002
SHELL ["/bin/bash", "-c"]
ENTRYPOINT exec /opt/tritonserver/bin/tritonserver --model-repository=/models $( ((${STRICT:-0})) && echo --strict-readiness=true )
