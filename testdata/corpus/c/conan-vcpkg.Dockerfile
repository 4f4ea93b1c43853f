FROM ubuntu:22.04 AS deps
RUN apt-get update && apt-get install -y build-essential cmake curl git ninja-build pipx tar unzip zip && pipx install conan==2.4.1
ENV PATH=/root/.local/bin:$PATH VCPKG_ROOT=/opt/vcpkg VCPKG_FORCE_SYSTEM_BINARIES=1
ADD --keep-git-dir=true https://git.example.org/vendor/vcpkg.git#2024.06.15 /opt/vcpkg
RUN "$VCPKG_ROOT/bootstrap-vcpkg.sh" -disableMetrics
WORKDIR /p
COPY conanfile.py vcpkg.json* ./
RUN conan profile detect --force && conan install . --build=missing -s build_type=Release -of=build
FROM deps
COPY . .
RUN cmake --preset conan-release && cmake --build --preset conan-release
