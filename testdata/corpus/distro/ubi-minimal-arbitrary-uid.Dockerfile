FROM registry.example.com/ubi9/nodejs-20:latest AS build
USER 0
ADD . /tmp/src
RUN chown -R 1001:0 /tmp/src
USER 1001
RUN /usr/libexec/s2i/assemble

FROM registry.example.com/ubi9/ubi-minimal
RUN microdnf -y module enable nodejs:20 && microdnf -y install nodejs && microdnf clean all
ENV APP_ROOT=/opt/app-root
ENV HOME=${APP_ROOT}/src PATH=${APP_ROOT}/bin:${PATH}
COPY --from=build --chown=1001:0 ${APP_ROOT} ${APP_ROOT}
# any user id of the group root can write
RUN chgrp -R 0 ${APP_ROOT} && chmod -R g=u ${APP_ROOT} /etc/passwd
WORKDIR ${HOME}
USER 1001
LABEL io.k8s.description="Node.js app" \
      io.openshift.expose-services="8080:http" \
      io.openshift.s2i.scripts-url="image:///usr/libexec/s2i"
EXPOSE 8080
CMD ["node", "server.js"]
