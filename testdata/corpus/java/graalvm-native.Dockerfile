FROM registry.example.com/graalvm/native-image-community:21 AS native
WORKDIR /b
COPY . .
ARG NATIVE_ARGS="--static --libc=musl -O2"
RUN microdnf install -y findutils && ./mvnw -Pnative -DskipTests -Dnative.args="$NATIVE_ARGS" native:compile
FROM scratch
COPY --from=native --chown=1000 /b/target/app /app
USER 1000
ENTRYPOINT ["/app", "-Xmx64m"]
