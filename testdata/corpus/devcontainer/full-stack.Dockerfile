# syntax=docker/dockerfile:1
FROM debian:bookworm AS base
ARG USERNAME=dev
ARG USER_UID=1000
ARG USER_GID=$USER_UID
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN groupadd --gid $USER_GID $USERNAME \
    && useradd --uid $USER_UID --gid $USER_GID -m $USERNAME -s /usr/bin/zsh \
    && apt-get update \
    && apt-get install -y sudo zsh git curl direnv fzf ripgrep \
    && echo $USERNAME ALL=\(root\) NOPASSWD:ALL > /etc/sudoers.d/$USERNAME \
    && chmod 0440 /etc/sudoers.d/$USERNAME
USER $USERNAME
ENV HOME=/home/$USERNAME
RUN <<-'ZSH'
	cat >> ~/.zshrc <<'RC'
	eval "$(direnv hook zsh)"
	HISTFILE=~/.history/zsh
	PROMPT='%F{green}%n@%m%f %~ %# '
	RC
	mkdir -p ~/.history
ZSH
RUN curl -fsSL https://get.example.org/mise.sh | MISE_INSTALL_PATH="$HOME/.local/bin/mise" bash -s -- --quiet
ENV PATH=$HOME/.local/share/mise/shims:$HOME/.local/bin:$PATH
COPY --chown=$USERNAME .tool-versions $HOME/
RUN mise install --yes
VOLUME ["/home/dev/.history"]
CMD ["sleep", "infinity"]
