FROM debian:testing
ENV LC_ALL en_US.UTF-8
ENV LANG en_US.UTF-8
ENV R_BASE_VERSION 4.4.1
RUN useradd -s /bin/bash -m analyst \
	&& apt-get update \
	&& apt-get install -y --no-install-recommends locales ca-certificates less wget \
	&& echo "en_US.UTF-8 UTF-8" >> /etc/locale.gen && locale-gen en_US.utf8 \
	&& rm -rf /var/lib/apt/lists/*
RUN echo 'options(repos = c(CRAN = "https://cran.example.org/"), download.file.method = "libcurl")' >> /etc/R-site.R
# rebuilt when "unstable" moves
RUN echo "deb http://mirror.example.org/debian sid main" > /etc/apt/sources.list.d/unstable.list \
        && echo 'APT::Default-Release "testing";' > /etc/apt/apt.conf.d/default \
        && apt-get update \
        && apt-get install -y -t unstable --no-install-recommends gfortran libopenblas0-pthread r-base=${R_BASE_VERSION}-* \
	&& rm -rf /tmp/downloaded_packages/ /tmp/*.rds
USER analyst
CMD ["R"]
