FROM maven:3.9-eclipse-temurin-17 AS war
WORKDIR /w
COPY pom.xml .
RUN mvn -B -q dependency:go-offline
COPY src src
RUN mvn -B package -DskipTests && mkdir /exploded && cd /exploded && jar -xf /w/target/*.war

FROM tomcat:10.1-jre17-temurin-jammy
RUN rm -rf webapps/* \
 && sed -i 's/port="8005" shutdown="SHUTDOWN"/port="-1" shutdown="DISABLED"/' conf/server.xml
COPY --from=war --chown=65534:65534 /exploded webapps/ROOT
ENV CATALINA_OPTS="-XX:MaxRAMPercentage=75 -Djava.awt.headless=true" \
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/usr/local/tomcat/native-jni-lib
RUN chown -R 65534 logs temp work
USER 65534
ENTRYPOINT []
CMD ["catalina.sh", "run"]
