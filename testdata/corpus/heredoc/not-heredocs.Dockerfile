# Text with "<<" that starts no heredoc: a word has to begin with it (and "<< x" with a blank would be one).
FROM debian:bookworm-slim
SHELL ["/bin/bash", "-c"]
RUN echo $((1<<4)) $((3<<2))
RUN x=1; x=$((x<<2)); echo "shift: $x"
RUN tr a-z A-Z <<< "here string"
RUN grep -q bash <<<"$BASH"
RUN echo "a << b" 'c <<EOF d'
RUN ["/bin/sh", "-c", "cat <<EOF\ninside JSON\nEOF\n"]
RUN python3 -c "print(1<<8, 'x'<<1 if False else '')"
RUN printf '%s\n' 'git log <<-- that is an arrow'
RUN : "<<EOF"
CMD ["echo", "<<EOF"]
