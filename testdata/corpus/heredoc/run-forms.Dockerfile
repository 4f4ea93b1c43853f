# syntax=docker/dockerfile:1
FROM debian:bookworm-slim

# the whole command is the body
RUN <<EOF
apt-get update
apt-get install -y vim
EOF

# with an interpreter line
RUN <<EOF
#!/usr/bin/env python3
import sys
print("hello", sys.version_info[:2])
EOF

# given to a program
RUN cat <<EOF > /tmp/a
one $HOME
EOF
RUN python3 - <<'EOF' arg1 arg2
import sys; print(sys.argv)
EOF

# two at once, and a descriptor
RUN cat <<A /dev/fd/3 3<<B > /tmp/both
first
A
second
B

# a pipe behind it
RUN <<EOF cat | tr a-z A-Z > /tmp/upper
shout
EOF

# bodies that look like instructions
RUN <<EOF
cat <<INNER > /tmp/Dockerfile
FROM scratch
COPY . /
INNER
EOF
CMD ["cat", "/tmp/Dockerfile"]
