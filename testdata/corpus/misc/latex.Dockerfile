FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends biber fonts-noto-core latexmk lmodern make texlive-{latex-extra,luatex,bibtex-extra} 2>/dev/null \
 || apt-get install -y --no-install-recommends latexmk texlive-latex-extra texlive-luatex
WORKDIR /doc
ENTRYPOINT ["latexmk", "-lualatex", "-interaction=nonstopmode", "-outdir=build"]
CMD ["main.tex"]
