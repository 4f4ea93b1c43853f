FROM eclipse-temurin:17-jdk-jammy
ENV ANDROID_COMPILE_SDK=34 ANDROID_BUILD_TOOLS=34.0.0 ANDROID_SDK_TOOLS=11076708 \
    ANDROID_HOME=/opt/android-sdk
ENV PATH="${PATH}:${ANDROID_HOME}/cmdline-tools/latest/bin:${ANDROID_HOME}/platform-tools"
RUN apt-get --quiet update --yes && apt-get --quiet install --yes wget unzip git lib32stdc++6 lib32z1
RUN install -d $ANDROID_HOME \
 && wget --no-verbose --output-document=/tmp/tools.zip "https://dl.example.com/commandlinetools-linux-${ANDROID_SDK_TOOLS}_latest.zip" \
 && unzip -q /tmp/tools.zip -d /tmp && mkdir -p $ANDROID_HOME/cmdline-tools && mv /tmp/cmdline-tools $ANDROID_HOME/cmdline-tools/latest && rm /tmp/tools.zip
RUN yes | sdkmanager --licenses > /dev/null || true
RUN sdkmanager "platforms;android-${ANDROID_COMPILE_SDK}" "platform-tools" "build-tools;${ANDROID_BUILD_TOOLS}" \
      'ndk;26.3.11579264' | grep -v '=' || test "${PIPESTATUS:-0}" = 0
WORKDIR /project
ENTRYPOINT []
CMD ["./gradlew", "assembleDebug", "--console=plain"]
