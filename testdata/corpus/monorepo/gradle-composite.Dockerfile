FROM gradle:8.8-jdk21 AS build
WORKDIR /repo
COPY --parents **/build.gradle.kts **/settings.gradle.kts gradle/** ./
RUN gradle --no-daemon help
COPY . .
ARG SERVICE=:apps:orders
RUN gradle --no-daemon "$SERVICE:installDist" && cp -r "$(echo "${SERVICE#:}" | tr : /)/build/install" /install

FROM eclipse-temurin:21-jre AS run
COPY --from=build /install/*/ /opt/app/
ENTRYPOINT ["/opt/app/bin/orders"]
