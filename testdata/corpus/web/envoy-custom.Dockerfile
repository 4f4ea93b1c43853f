FROM envoyproxy/envoy:distroless-v1.30.2 AS envoy
FROM debian:12-slim
COPY --from=envoy /usr/local/bin/envoy /usr/local/bin/envoy
RUN useradd -r -u 101 envoy && mkdir -p /etc/envoy /var/log/envoy && chown envoy /var/log/envoy
COPY --chown=101:0 --chmod=u=rw,go=r envoy.yaml /etc/envoy/envoy.yaml
USER 101
EXPOSE 10000-10004 9901
ENTRYPOINT [ "/usr/local/bin/envoy" ]
CMD [ "-c", "/etc/envoy/envoy.yaml", "--log-format", "[%Y-%m-%d %T.%e][%l] %v", "--drain-time-s", "30" ]
