FROM python:3.10
RUN useradd -m -u 1000 user
USER user
ENV HOME=/home/user \
	PATH=/home/user/.local/bin:$PATH
WORKDIR $HOME/app
COPY --chown=user requirements.txt .
RUN pip install --user --no-cache-dir --upgrade -r requirements.txt
COPY --chown=user . $HOME/app
EXPOSE 7860
CMD ["python", "app.py"]
