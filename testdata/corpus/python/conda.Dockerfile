FROM continuumio/miniconda3:24.4.0-0
SHELL ["/bin/bash", "--login", "-c"]
WORKDIR /work
COPY environment.yml .
RUN conda env create -n science -f environment.yml \
    && conda clean --all --yes \
    && echo "conda activate science" >> ~/.bashrc
SHELL ["conda", "run", "--no-capture-output", "-n", "science", "/bin/bash", "-c"]
RUN python -c "import numpy; print('numpy', numpy.__version__)"
COPY notebooks ./notebooks
EXPOSE 8888-8890
ENTRYPOINT ["conda", "run", "--no-capture-output", "-n", "science"]
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "--ServerApp.token=''"]
