# check=skip=JSONArgsRecommended;experimental=InvalidDefinitionDescription
# builder the stage that compiles
FROM alpine:3.20 AS builder
# VERSION what to build
ARG VERSION=1
# check=skip=LegacyKeyValueFormat
ENV OLD style
RUN echo "$VERSION" > /v

# check=skip=all
FROM alpine:3.20
COPY --from=builder /v /v
CMD cat /v
