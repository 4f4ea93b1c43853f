FROM python:3.12
ENV DJANGO_SETTINGS_MODULE=site.settings.production
WORKDIR /code
COPY requirements/*.txt requirements/
RUN pip install -r requirements/production.txt
COPY . /code/
ARG SECRET_KEY=build-time-only
RUN SECRET_KEY="$SECRET_KEY" DATABASE_URL='sqlite://:memory:' python manage.py collectstatic --noinput --clear \
    && python manage.py compilemessages || echo "no messages"
EXPOSE 8000
RUN printf '%s\n' '#!/bin/sh' 'set -e' 'python manage.py migrate --noinput' 'exec "$@"' > /entry && chmod +x /entry
ENTRYPOINT ["/entry"]
CMD ["gunicorn", "-c", "gunicorn.conf.py", "site.wsgi"]
