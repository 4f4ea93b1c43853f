FROM alpine:3.20 AS s0
RUN echo 0 > /f
FROM s0 AS s1
RUN echo 1 >> /f
FROM s1 AS s2
RUN echo 2 >> /f
FROM s2 AS s3
COPY --from=s0 /f /f0
FROM scratch AS s4
COPY --from=s3 /f /f0 /
FROM s1 AS unused
RUN exit 1
FROM s4
COPY --from=s1 /f /f1
COPY --from=2 /f /f2
COPY --from=S3 /etc/os-release /etc/
ENTRYPOINT ["/none"]
