FROM python:3.11-slim
RUN apt-get update -y \
 && apt-get install -y --no-install-recommends supervisor redis-tools \
 && apt-get clean && rm -rf /var/lib/apt/lists/*
WORKDIR /app
ADD requirements.txt /app/
RUN pip install -r requirements.txt
ADD . /app
RUN mkdir -p /var/log/supervisor
COPY <<"INI" /etc/supervisor/conf.d/workers.conf
[program:worker]
command=celery -A tasks worker --loglevel=%(ENV_LOGLEVEL)s -n worker@%%h
autorestart=true
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0

[program:beat]
command=celery -A tasks beat
INI
ENV LOGLEVEL INFO
HEALTHCHECK --interval=1m --timeout=20s CMD celery -A tasks inspect ping -d worker@$HOSTNAME | grep -q pong
CMD ["/usr/bin/supervisord", "-n", "-c", "/etc/supervisor/supervisord.conf"]
