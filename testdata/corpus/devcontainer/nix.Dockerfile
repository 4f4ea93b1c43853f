FROM nixos/nix:2.22.1 AS closure
RUN printf 'experimental-features = nix-command flakes\nfilter-syscalls = false\n' >> /etc/nix/nix.conf
WORKDIR /flake
COPY flake.nix flake.lock ./
RUN nix flake archive
COPY . .
ARG ATTRIBUTE=.#default
RUN nix build "$ATTRIBUTE" --out-link /result \
 && mkdir -p /root-of-image/nix/store \
 && nix-store --query --requisites /result | xargs -I{} cp -a {} /root-of-image/nix/store/ \
 && ln -s "$(readlink /result)/bin" /root-of-image/bin

FROM scratch
COPY --from=closure /root-of-image/ /
ENV PATH=/bin
CMD ["program"]
