FROM rust:1.79 AS wasm
RUN rustup target add wasm32-unknown-unknown wasm32-wasip1
RUN cargo install wasm-bindgen-cli@0.2.92 trunk@0.20.2
WORKDIR /ui
COPY . .
RUN trunk build --release --public-url "${PUBLIC_URL:-/}"

FROM nginx:alpine-slim
COPY --from=wasm /ui/dist/ /usr/share/nginx/html/
COPY <<EOF /etc/nginx/conf.d/wasm.conf
types {
  application/wasm wasm;
}
EOF
