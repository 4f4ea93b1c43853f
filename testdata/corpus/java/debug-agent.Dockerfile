FROM eclipse-temurin:17-jre
ARG AGENT=2.5.0
ADD --chmod=644 https://agents.example.org/otel/v${AGENT}/agent.jar /agents/otel.jar
ADD --checksum=sha256:24db39921023e4bd0f1b3c2ffeb1a1a3d4c5a2de0b0f7d8a9d6d2f4b5e6c7a81 \
    https://agents.example.org/jmx/exporter-1.0.1.jar \
    /agents/jmx.jar
COPY service.jar /app/
ENV OTEL_SERVICE_NAME=orders \
    OTEL_EXPORTER=none \
    JAVA_TOOL_OPTIONS="-javaagent:/agents/otel.jar -javaagent:/agents/jmx.jar=9404:/etc/jmx.yml -agentlib:jdwp=transport=dt_socket,server=y,suspend=n,address=*:5005"
EXPOSE 8080 9404 5005
ENTRYPOINT exec java $JAVA_OPTS -Djava.security.egd=file:/dev/./urandom -jar /app/service.jar
