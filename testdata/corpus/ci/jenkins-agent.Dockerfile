FROM eclipse-temurin:17-jre AS jre
FROM debian:bookworm
ARG VERSION=3248.v65ecb_254c298
ARG user=jenkins
ARG group=jenkins
ARG uid=1000
ARG gid=1000
RUN groupadd -g ${gid} ${group} && useradd -c "build agent" -d /home/${user} -u ${uid} -g ${gid} -m ${user}
LABEL Description="An agent that connects over TCP or a web socket" Vendor="example" Version="$VERSION"
ARG AGENT_WORKDIR=/home/${user}/agent
ENV TZ=Etc/UTC
RUN apt-get update && apt-get -y install --no-install-recommends curl git git-lfs less netbase openssh-client patch tzdata && rm -rf /var/lib/apt/lists/*
ADD --chown=${user}:${group} "https://repo.example.org/remoting/${VERSION}/remoting-${VERSION}.jar" /usr/share/jenkins/agent.jar
RUN chmod 0644 /usr/share/jenkins/agent.jar && ln -sf /usr/share/jenkins/agent.jar /usr/share/jenkins/slave.jar
ENV LANG C.UTF-8
ENV JAVA_HOME=/opt/java/openjdk
COPY --from=jre $JAVA_HOME $JAVA_HOME
ENV PATH="${JAVA_HOME}/bin:${PATH}"
USER "${user}"
ENV AGENT_WORKDIR="${AGENT_WORKDIR}"
RUN mkdir -p /home/${user}/.jenkins "${AGENT_WORKDIR}"
VOLUME /home/${user}/.jenkins
VOLUME "${AGENT_WORKDIR}"
WORKDIR /home/${user}
