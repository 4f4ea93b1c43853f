FROM julia:1.10-bookworm
ENV JULIA_DEPOT_PATH=/opt/julia-depot JULIA_NUM_THREADS=auto
COPY Project.toml Manifest.toml /proj/
RUN julia --project=/proj -e 'using Pkg; Pkg.instantiate(); Pkg.precompile()' && chmod -R a+rX $JULIA_DEPOT_PATH
WORKDIR /proj
COPY . .
RUN julia --project -e "using PackageCompiler; create_sysimage([\"Plots\"]; sysimage_path=\"sys.so\")"
EXPOSE 1234
ENTRYPOINT ["julia", "--project", "-J", "sys.so"]
CMD ["-e", "import Pluto; Pluto.run(host=\"0.0.0.0\", port=1234, launch_browser=false)"]
