//! `cooper build`: flags named as those of `docker buildx build`.

pub mod call;
mod context;
mod request;
mod results;
mod run;
mod unsupported;

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::flags::units::truth;
use crate::progress::Mode;

pub use results::metadata;
pub use run::{Finished, drive, run, tell};

/// Flags of `build`.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_field_names, reason = "the names are those of the flags")]
pub struct BuildArgs {
    /// Build context: a directory, a git or HTTP URL, or `-` for a tar or a Dockerfile on standard input
    #[arg(value_name = "PATH | URL | -", allow_hyphen_values = false)]
    pub context: Option<String>,
    /// Dockerfile, relative to the current directory, an HTTP URL, or `-` [default: PATH/Dockerfile]
    #[arg(short, long, value_name = "PATH")]
    pub file: Option<String>,
    /// Name of the image, such as registry.example/app:1.2
    #[arg(short, long = "tag", value_name = "NAME[:TAG]")]
    pub tags: Vec<String>,
    /// Stage to build
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Build argument; without a value it is taken from the environment
    #[arg(long = "build-arg", value_name = "KEY[=VALUE]")]
    pub build_args: Vec<String>,
    /// Additional context: a directory, docker-image://, oci-layout://, a git or HTTP URL
    #[arg(long = "build-context", value_name = "NAME=SOURCE")]
    pub build_contexts: Vec<String>,
    /// Secret for RUN --mount=type=secret: id=ID[,src=PATH][,env=VARIABLE][,type=file|env]
    #[arg(long = "secret", value_name = "SPEC")]
    pub secrets: Vec<String>,
    /// Agent or keys for RUN --mount=type=ssh and git: default or ID[=SOCKET|KEY[,KEY]][,raw=true]
    #[arg(long, value_name = "SPEC")]
    pub ssh: Vec<String>,
    /// Label of the image
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// Platforms to build for, such as linux/amd64,linux/arm64; `local` is this machine's
    #[arg(long = "platform", value_name = "LIST")]
    pub platforms: Vec<String>,
    /// Do not use the cache
    #[arg(long, value_name = "BOOL", value_parser = truth, default_value = "false", default_missing_value = "true",
          num_args = 0..=1, require_equals = true, hide_default_value = true, hide_possible_values = true, action = ArgAction::Set)]
    pub no_cache: bool,
    /// Do not use the cache for these stages
    #[arg(long, value_name = "STAGES")]
    pub no_cache_filter: Vec<String>,
    /// Look up all base images anew
    #[arg(long, value_name = "BOOL", value_parser = truth, default_value = "false", default_missing_value = "true",
          num_args = 0..=1, require_equals = true, hide_default_value = true, action = ArgAction::Set)]
    pub pull: bool,
    /// Network of RUN: default, none or host
    #[arg(long, value_name = "MODE")]
    pub network: Option<String>,
    /// Additional line of /etc/hosts in RUN
    #[arg(long = "add-host", value_name = "HOST:IP")]
    pub add_hosts: Vec<String>,
    /// Size of /dev/shm in RUN, such as 64m
    #[arg(long, value_name = "BYTES")]
    pub shm_size: Option<String>,
    /// Resource limit in RUN, such as nofile=1024:2048
    #[arg(long = "ulimit", value_name = "NAME=SOFT[:HARD]")]
    pub ulimits: Vec<String>,
    /// Where the result goes: a directory, `-` for a tar on standard output, or type=image|registry|oci|docker|local|tar|cacheonly,...
    #[arg(short, long = "output", value_name = "SPEC")]
    pub outputs: Vec<String>,
    /// Push the image to its registry
    #[arg(long, value_name = "BOOL", value_parser = truth, default_value = "false", default_missing_value = "true",
          num_args = 0..=1, require_equals = true, hide_default_value = true, action = ArgAction::Set)]
    pub push: bool,
    /// Load the image into a container engine
    #[arg(long, value_name = "BOOL", value_parser = truth, default_value = "false", default_missing_value = "true",
          num_args = 0..=1, require_equals = true, hide_default_value = true, action = ArgAction::Set)]
    pub load: bool,
    /// How progress is shown
    #[arg(
        long,
        value_name = "MODE",
        value_enum,
        env = "BUILDKIT_PROGRESS",
        default_value = "auto",
        hide_env_values = true
    )]
    pub progress: Mode,
    /// Print only the image ID
    #[arg(short, long, value_name = "BOOL", value_parser = truth, default_value = "false", default_missing_value = "true",
          num_args = 0..=1, require_equals = true, hide_default_value = true, action = ArgAction::Set)]
    pub quiet: bool,
    /// Write the image ID to this file
    #[arg(long, value_name = "PATH")]
    pub iidfile: Option<PathBuf>,
    /// Write what is known of the result to this file, as JSON
    #[arg(long, value_name = "PATH")]
    pub metadata_file: Option<PathBuf>,
    /// Allow privileged things: network.host, security.insecure
    #[arg(long = "allow", value_name = "ENTITLEMENT")]
    pub allow: Vec<String>,
    /// Ask about the Dockerfile instead of building: check, outline, targets or subrequests.describe
    #[arg(long, value_name = "METHOD[,format=json][,ignorestatus=true]")]
    pub call: Option<String>,
    /// Check the Dockerfile, do not build: --call=check
    #[arg(long, value_name = "BOOL", value_parser = truth, default_value = "false", default_missing_value = "true",
          num_args = 0..=1, require_equals = true, hide_default_value = true, action = ArgAction::Set)]
    pub check: bool,
    /// Treat doubtful things that BuildKit lets pass as errors
    #[arg(long)]
    pub strict: bool,
    #[command(flatten)]
    unsupported: unsupported::Unsupported,
}
