# syntax=docker/dockerfile:1
FROM gradle:8.8-jdk21 AS build
USER gradle
WORKDIR /home/gradle/project
COPY --chown=gradle:gradle settings.gradle.kts build.gradle.kts gradle.properties ./
COPY --chown=gradle:gradle gradle/ gradle/
RUN --mount=type=cache,target=/home/gradle/.gradle,uid=1000,gid=1000,mode=0755 gradle --no-daemon dependencies > /dev/null
COPY --chown=gradle:gradle src/ src/
RUN --mount=type=cache,target=/home/gradle/.gradle,uid=1000,gid=1000 \
    gradle --no-daemon bootJar -x test && mv build/libs/*-SNAPSHOT.jar app.jar

FROM eclipse-temurin:21-jre-alpine AS optimise
WORKDIR /opt/app
COPY --from=build /home/gradle/project/app.jar .
RUN java -Djarmode=tools -jar app.jar extract --destination . \
 && java -XX:ArchiveClassesAtExit=app.jsa -Dspring.context.exit=onRefresh -jar app.jar || test -f app.jsa

FROM eclipse-temurin:21-jre-alpine
COPY --from=optimise /opt/app /opt/app
WORKDIR /opt/app
ENTRYPOINT ["java", "-XX:SharedArchiveFile=app.jsa", "-jar", "app.jar"]
