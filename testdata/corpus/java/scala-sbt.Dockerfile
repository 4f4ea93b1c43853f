FROM sbtscala/scala-sbt:eclipse-temurin-21.0.2_13_1.10.0_3.4.2 AS stage
WORKDIR /app
COPY project/build.properties project/plugins.sbt project/
COPY build.sbt .
RUN sbt -Dsbt.ivy.home=/ivy -Dsbt.supershell=false update
COPY . .
RUN sbt "set ThisBuild / version := \"${VERSION:-0.0.0}\"" 'testOnly -- -l "example.Slow"' stage

FROM eclipse-temurin:21-jre
RUN useradd -u 1001 -r -g 0 demiourgos
WORKDIR /opt/docker
COPY --from=stage --chown=1001:0 --chmod=u=rX,g=rX /app/target/universal/stage .
USER 1001:0
ENTRYPOINT ["/opt/docker/bin/service"]
CMD []
