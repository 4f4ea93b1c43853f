# ARG scopes: global, of the stage, inherited from a stage, hidden by ENV.
ARG A=global
ARG B
FROM alpine:3.20 AS one
RUN echo "A is not here: '$A'"
ARG A
ARG B=stage C D="with default" E='$A' F=${A}-suffix
RUN echo "A=$A B=$B C=$C D=$D E=$E F=$F"
ENV A=from-env
RUN echo "env wins: $A"
ARG A=later
RUN echo "still env: $A"
FROM one AS two
RUN echo "inherited: $B $F"
ARG B=changed
LABEL b=$B undefined=${NEVER}
FROM two
ARG HTTP_PROXY
ARG SOURCE_DATE_EPOCH
ARG BUILDKIT_INLINE_CACHE=1
RUN env | sort
