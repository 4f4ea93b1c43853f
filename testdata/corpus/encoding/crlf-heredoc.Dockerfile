FROM alpine:3.20
COPY <<EOF /etc/app.ini
[main]
key = value
EOF
RUN <<EOF
echo one
echo two
EOF
CMD ["cat", "/etc/app.ini"]
