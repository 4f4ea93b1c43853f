FROM debian:sid AS build-env
RUN echo 'deb-src http://mirror.example.org/debian sid main' > /etc/apt/sources.list.d/src.list \
 && apt-get update && apt-get install -y --no-install-recommends build-essential devscripts equivs lintian fakeroot quilt
WORKDIR /build/pkg
COPY debian/control debian/control
RUN mk-build-deps -i -r -t 'apt-get -o Debug::pkgProblemResolver=yes --no-install-recommends -y'
COPY . .
ENV DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=4" DEBEMAIL="Builds <builds@example.org>"
RUN dch --local "+b" --distribution unstable "Rebuild for $(. /etc/os-release; echo "$PRETTY_NAME")" \
 && dpkg-buildpackage -us -uc -b \
 && lintian --fail-on=error ../*.changes
FROM scratch
COPY --from=build-env /build/*.deb /build/*.changes /
