# Kommentare dürfen alles enthalten: 日本語, emoji 🐳, ελληνικά
FROM alpine:3.20
LABEL maintainer="Jürgen Größe <juergen@example.org>" \
      beschreibung='Ein „schönes“ Abbild – für alle' \
      emoji=🦀
ENV GREETING=こんにちは NAME="Zoë"
RUN echo "Привет, ${NAME}" > /grüße.txt
COPY straße.txt größe-?.txt /ünïcode/
COPY ["日本 語.txt", "/data/"]
WORKDIR /häuser/äöü
CMD ["echo", "🐳 \u2603"]
