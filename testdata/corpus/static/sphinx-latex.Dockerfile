FROM sphinxdoc/sphinx-latexpdf:7.3.7
WORKDIR /docs
ADD requirements.txt /docs
RUN python3 -m pip install -r requirements.txt
COPY . .
ARG FORMATS="html latexpdf epub"
RUN for f in $FORMATS; do make SPHINXOPTS='-W --keep-going -n' "$f" || exit 1; done
CMD ["python3", "-m", "http.server", "-d", "_build/html", "8080"]
