FROM gradle:8-jdk17-alpine AS jar
ENV GRADLE_USER_HOME=/gradle GRADLE_OPTS="-Dorg.gradle.daemon=false -Dkotlin.compiler.execution.strategy=in-process"
WORKDIR /service
# dependencies are those of an empty project with the same build files
COPY *.kts gradle.properties ./
COPY gradle/*.toml gradle/
RUN mkdir -p src/main/kotlin && echo 'fun main() = println("empty")' > src/main/kotlin/Main.kt && gradle -q shadowJar
COPY src src
RUN gradle -q clean test shadowJar && cp build/libs/*-all.jar /service.jar

FROM amazoncorretto:17-alpine
COPY --from=jar /service.jar /service.jar
USER 405:100
EXPOSE 8080
ENTRYPOINT ["java", "-XX:+UseZGC", "-jar", "/service.jar"]
