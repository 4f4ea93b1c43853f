FROM python:3.11-slim
RUN pip install --no-cache-dir mlflow==2.14.1 psycopg2-binary boto3
ENV MLFLOW_BACKEND=sqlite:////mlflow/db.sqlite ARTIFACTS=/mlflow/artifacts
VOLUME /mlflow
EXPOSE 5000
CMD mlflow server \
    --backend-store-uri "$MLFLOW_BACKEND" \
    --default-artifact-root "$ARTIFACTS" \
    --host 0.0.0.0 --port 5000
