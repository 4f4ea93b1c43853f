FROM gentoo/portage:latest AS portage
FROM gentoo/stage3:amd64-openrc
COPY --from=portage /var/db/repos/gentoo /var/db/repos/gentoo
RUN echo 'MAKEOPTS="-j4 -l4"' >> /etc/portage/make.conf \
 && echo 'FEATURES="-sandbox -usersandbox -pid-sandbox -network-sandbox"' >> /etc/portage/make.conf \
 && echo '*/* CPU_FLAGS_X86: avx2' > /etc/portage/package.use/cpu
RUN emerge --quiet-build -v1 dev-vcs/git || { cat /var/tmp/portage/*/*/temp/build.log; exit 1; }
