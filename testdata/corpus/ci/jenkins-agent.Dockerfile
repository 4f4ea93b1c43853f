FROM eclipse-temurin:17-jre AS jre
FROM debian:bookworm
ARG RELEASE=3248.v65
ARG name=builder uid=1000 gid=1000
ARG HOME_DIR=/home/${name}
RUN groupadd -g ${gid} ${name} && useradd -c "build agent" -d "${HOME_DIR}" -u ${uid} -g ${gid} -m ${name}
LABEL Description="An agent that calls home" Vendor='example' Version="$RELEASE"
RUN apt-get update && apt-get -y install --no-install-recommends curl git openssh-client patch && rm -rf /var/lib/apt/lists/*
ENV JAVA_HOME=/opt/java/openjdk
COPY --from=jre $JAVA_HOME $JAVA_HOME
ENV PATH="${JAVA_HOME}/bin:${PATH}" AGENT_WORKDIR="${HOME_DIR}/agent"
ADD --chown=${uid}:${gid} --chmod=0644 "https://repo.example.org/agent/agent-${RELEASE}.jar" /usr/share/agent/agent.jar
COPY --chown=${name}:${name} agent.sh /usr/local/bin/
USER "${name}"
RUN mkdir -p "${HOME_DIR}/.cache" "${AGENT_WORKDIR}"
VOLUME ${HOME_DIR}/.cache
VOLUME "${AGENT_WORKDIR}"
WORKDIR "${HOME_DIR}"
ENTRYPOINT ["agent.sh"]
