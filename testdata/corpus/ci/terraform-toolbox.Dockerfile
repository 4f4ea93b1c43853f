FROM alpine:3.20 AS downloads
ARG TARGETARCH=amd64
RUN apk add --no-cache curl gnupg unzip
WORKDIR /bins
ARG TERRAFORM=1.8.5
ARG TFLINT=0.51.1
ARG KUBECTL=1.30.2
ARG HELM=3.15.2
SHELL ["/bin/sh", "-euo", "pipefail", "-c"]
RUN curl -sSfL "https://releases.example.com/terraform_${TERRAFORM}_linux_${TARGETARCH}.zip" -o t.zip && unzip -q t.zip terraform && rm t.zip
RUN curl -sSfL "https://releases.example.com/tflint_linux_${TARGETARCH}_${TFLINT}.zip" | busybox unzip -q -
RUN curl -sSfLO "https://releases.example.com/v${KUBECTL}/bin/linux/${TARGETARCH}/kubectl" \
 && echo "$(curl -sSfL "https://releases.example.com/v${KUBECTL}/bin/linux/${TARGETARCH}/kubectl.sha256")  kubectl" | sha256sum -c
RUN curl -sSfL "https://releases.example.com/helm-v${HELM}-linux-${TARGETARCH}.tar.gz" | tar -xz --strip-components=1 "linux-${TARGETARCH}/helm"
RUN chmod +x /bins/*

FROM alpine:3.20
RUN apk add --no-cache bash git jq openssh-client python3 py3-pip yq \
 && pip install --break-system-packages --no-cache-dir awscli==1.33.13
COPY --from=downloads /bins/ /usr/local/bin/
RUN for t in terraform tflint kubectl helm; do command -v $t; done
WORKDIR /iac
ENTRYPOINT ["/bin/bash", "-lc"]
CMD ["terraform version && kubectl version --client && helm version --short"]
