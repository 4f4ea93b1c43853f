FROM alpine:3.20
EXPOSE 80
EXPOSE 443/tcp 53/udp 132/sctp
EXPOSE 6000-6010 7000-7005/udp
EXPOSE 80 80/tcp 80/udp
STOPSIGNAL 9
STOPSIGNAL SIGQUIT
STOPSIGNAL term
STOPSIGNAL SIGRTMAX-3
VOLUME /a /b
VOLUME ["/c", "/path with blank"]
VOLUME /a
USER root
USER 1000
USER 1000:1000
USER app:staff
USER nobody
WORKDIR /one
WORKDIR two
WORKDIR ./three/..
WORKDIR /abs//double///slash/
ENV LEGACY a legacy value = with equals
ENV NEW=1
CMD first is replaced
CMD ["second"]
ENTRYPOINT old
ENTRYPOINT ["new"]
