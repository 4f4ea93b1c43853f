FROM rocker/r-ver:4.4.1
RUN /rocker_scripts/install_shiny_server.sh 2>/dev/null || echo "not there"
RUN apt-get update -qq && apt-get -y --no-install-recommends install libxml2-dev libcairo2-dev libssl-dev && rm -rf /var/lib/apt/lists/*
RUN R -q -e "options(Ncpus = parallel::detectCores()); install.packages(c('shiny', 'ggplot2', \"dplyr\"), repos = 'https://cran.example.org')"
COPY renv.lock /srv/shiny-server/
RUN Rscript -e 'if (!require("renv")) install.packages("renv")' -e 'renv::restore(lockfile = "/srv/shiny-server/renv.lock", prompt = FALSE)'
COPY app.R /srv/shiny-server/
RUN chown -R shiny:shiny /srv/shiny-server || true
EXPOSE 3838
CMD ["R", "-e", "shiny::runApp('/srv/shiny-server', host = '0.0.0.0', port = 3838L)"]
