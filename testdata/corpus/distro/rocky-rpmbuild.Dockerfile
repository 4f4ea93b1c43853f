FROM rockylinux:9 AS rpm
RUN dnf -y install dnf-plugins-core rpm-build rpmdevtools epel-release && dnf config-manager --set-enabled crb
WORKDIR /root/rpmbuild
COPY *.spec SPECS/
RUN spectool -g -R SPECS/*.spec && dnf -y builddep SPECS/*.spec
COPY patches/ SOURCES/
RUN rpmbuild -ba --define "dist .el9" --define '_smp_mflags -j4' SPECS/*.spec
FROM scratch
COPY --from=rpm /root/rpmbuild/RPMS/ /RPMS/
COPY --from=rpm /root/rpmbuild/SRPMS/ /SRPMS/
