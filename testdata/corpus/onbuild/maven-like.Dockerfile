FROM maven:3.9-eclipse-temurin-17
RUN mkdir -p /usr/src/app
WORKDIR /usr/src/app
ONBUILD ADD . /usr/src/app
ONBUILD RUN --mount=type=cache,target=/root/.m2 mvn install -B ${MAVEN_ARGS:--q}
ONBUILD HEALTHCHECK --interval=5s CMD ["curl", "-f", "http://localhost:8080"]
ONBUILD VOLUME ["/data"]
ONBUILD EXPOSE 8080/tcp 9000-9001/udp
ONBUILD WORKDIR target
ONBUILD STOPSIGNAL SIGTERM
ONBUILD SHELL ["/bin/bash", "-c"]
ONBUILD ENTRYPOINT java $JAVA_OPTS -jar *.jar
