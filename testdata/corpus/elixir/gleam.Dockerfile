FROM registry.example.com/gleam-lang/gleam:v1.2.1-erlang-alpine AS build
COPY . /build/
RUN cd /build \
  && apk add --no-cache gcc build-base \
  && gleam export erlang-shipment \
  && mv build/erlang-shipment /app
FROM erlang:27-alpine
COPY --from=build /app /app
WORKDIR /app
ENTRYPOINT ["/app/entrypoint.sh"]
CMD ["run"]
