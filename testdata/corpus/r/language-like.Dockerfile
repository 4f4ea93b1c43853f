FROM debian:testing
ENV LC_ALL=en_US.UTF-8 LANG=en_US.UTF-8
ENV R_RELEASE 4.4.1
RUN useradd -m analyst \
	&& apt-get update \
	&& apt-get install -y --no-install-recommends ca-certificates gfortran libopenblas-dev locales \
	&& sed -i "s/^# $LANG/$LANG/" /etc/locale.gen && locale-gen \
        && apt-get install -y --no-install-recommends r-base-dev="${R_RELEASE}"-* r-recommended \
	&& rm -rf /var/lib/apt/lists/*
COPY <<"PROFILE" /etc/R/Rprofile.site
options(repos = c(CRAN = "https://cran.example.org/"), Ncpus = 4L)
local({
  message(sprintf("R %s", getRversion()))
  if (nzchar(Sys.getenv("R_LIBS_USER"))) `dir.create`(Sys.getenv("R_LIBS_USER"), FALSE, TRUE)
})
PROFILE
USER analyst
CMD ["R", "--no-save"]
