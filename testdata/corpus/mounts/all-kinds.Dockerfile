# syntax=docker/dockerfile:1
FROM alpine:3.20 AS tools
RUN mkdir -p /opt/tools && printf '#!/bin/sh\necho tool\n' > /opt/tools/tool && chmod +x /opt/tools/tool

FROM alpine:3.20
WORKDIR /work
RUN --mount=type=bind,source=.,target=/ctx ls /ctx
RUN --mount=target=/ctx,rw touch /ctx/throwaway
RUN --mount=type=bind,from=tools,source=/opt/tools,target=tools tools/tool
RUN --mount=from=busybox:1.36,src=/bin/busybox,dst=/bb /bb true
RUN --mount=type=cache,target=/var/cache/apk apk add curl
RUN --mount=type=cache,id=shared-cache,dst=/cache,sharing=locked,mode=0777,uid=1000,gid=1000 echo x > /cache/x
RUN --mount=type=cache,target=/seeded,from=tools,source=/opt,readonly=false ls /seeded
RUN --mount=type=cache,destination=relative/cache,ro ls relative
RUN --mount=type=tmpfs,target=/scratch,size=16m dd if=/dev/zero of=/scratch/f bs=1M count=1
RUN --mount=type=tmpfs,destination=/t2 true
RUN --mount=type=secret,id=plain cat /run/secrets/plain || true
RUN --mount=type=secret,id=npm,target=/root/.npmrc,required=false,mode=0400,uid=0,gid=0 true
RUN --mount=type=secret,id=token,env=TOKEN test -n "$TOKEN" || true
RUN --mount=type=secret,target=/etc/key.pem true
RUN --mount=type=secret,source=from-source true
RUN --mount=type=ssh ssh-add -l || true
RUN --mount=type=ssh,id=deploy,target=/tmp/agent,mode=0666,required=false true
RUN --mount=type=bind,target=/a --mount=type=cache,target=/b --mount=type=tmpfs,target=/c \
    --network=none --security=sandbox ls /a /b /c
RUN --mount='type=bind,"source=with,comma.txt",target=/comma.txt' true
