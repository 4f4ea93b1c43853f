FROM public.example.com/amazonlinux/amazonlinux:2023 AS layer
RUN dnf install -y gcc openssl-devel bzip2-devel libffi-devel zip tar gzip make && dnf clean all
WORKDIR /opt/python
COPY requirements.txt .
RUN pip3 install -r requirements.txt -t python/lib/python3.11/site-packages/ \
 && zip -r9 /layer.zip python -x '*/__pycache__/*'
FROM scratch AS zip
COPY --from=layer /layer.zip /
