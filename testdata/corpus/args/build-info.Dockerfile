FROM alpine:3.20
ARG BUILD_DATE
ARG VCS_REF
ARG VERSION
ARG TITLE="A service"
LABEL org.opencontainers.image.created=$BUILD_DATE \
      org.opencontainers.image.authors="team@example.org" \
      org.opencontainers.image.url="https://www.example.org/service" \
      org.opencontainers.image.documentation="https://docs.example.org/service" \
      org.opencontainers.image.source="https://git.example.org/team/service" \
      org.opencontainers.image.version="${VERSION:-0.0.0-dev}" \
      org.opencontainers.image.revision=$VCS_REF \
      org.opencontainers.image.vendor="Example, Inc." \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.ref.name="service:${VERSION}" \
      org.opencontainers.image.title="${TITLE}" \
      org.opencontainers.image.description="Line one.\nLine two, with a \"quote\"." \
      org.opencontainers.image.base.name="alpine:3.20"
LABEL legacy label value with blanks
LABEL a=1 b=2 a=3
RUN printf '{"version":"%s","ref":"%s"}\n' "$VERSION" "$VCS_REF" > /build-info.json
