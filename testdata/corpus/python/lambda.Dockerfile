FROM public.example.com/lambda/python:3.12
# LAMBDA_TASK_ROOT and LAMBDA_RUNTIME_DIR come from the base image
COPY requirements.txt ${LAMBDA_TASK_ROOT:-/var/task}/
RUN pip install -r ${LAMBDA_TASK_ROOT:-/var/task}/requirements.txt --target "${LAMBDA_TASK_ROOT:-/var/task}"
COPY app.py ${LAMBDA_TASK_ROOT:-/var/task}/
CMD [ "app.handler" ]
