FROM eclipse-temurin:17-jdk-jammy
ARG PLATFORM=34
ARG BUILD_TOOLS=34.0.0
ENV ANDROID_HOME=/opt/android
ENV PATH="${ANDROID_HOME}/cmdline-tools/latest/bin:${ANDROID_HOME}/platform-tools:${PATH}"
RUN apt-get -qq update && apt-get -qq install -y git unzip lib32z1 && rm -rf /var/lib/apt/lists/*
ADD https://dl.example.com/android/commandlinetools.zip /tmp/tools.zip
RUN mkdir -p $ANDROID_HOME/cmdline-tools && cd $ANDROID_HOME/cmdline-tools && unzip -q /tmp/tools.zip && mv cmdline-tools latest && rm /tmp/tools.zip
RUN (while sleep 1; do echo y; done) | sdkmanager --licenses > /dev/null; \
    sdkmanager --install "platforms;android-${PLATFORM}" "build-tools;${BUILD_TOOLS}" 'ndk;26.3.11579264' | sed -n '/^\[=/!p'
WORKDIR /project
ENTRYPOINT []
CMD ["./gradlew", "--console=plain", ":app:bundleRelease"]
