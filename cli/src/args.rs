//! The command line as a whole: global flags and the list of commands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::backend::distribution::NetworkPolicy;
use crate::commands;

/// Builds container images from Dockerfiles, without a daemon.
#[derive(Debug, Parser)]
#[command(name = "cooper", version, args_override_self = true, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// The store [default: /var/lib/cooper for root, otherwise $XDG_DATA_HOME/cooper]
    #[arg(long, value_name = "DIR", env = "COOPER_ROOT", global = true)]
    pub root: Option<PathBuf>,
    /// Where registries and redirects of downloads may lead: usual is anywhere but this machine and link-local
    /// addresses, public is public addresses only, for the URLs of downloads, too
    #[arg(long, value_name = "POLICY", env = "COOPER_NETWORK_POLICY", default_value = "usual", global = true,
          hide_default_value = true, hide_env_values = true, value_parser = network_policy)]
    pub network_policy: NetworkPolicy,
    /// Tell more when something fails
    #[arg(short = 'D', long, global = true)]
    pub debug: bool,
}

/// For clap: where registries may lead.
fn network_policy(text: &str) -> Result<NetworkPolicy, String> {
    match text {
        "usual" => Ok(NetworkPolicy::Usual),
        "public" => Ok(NetworkPolicy::Public),
        _ => Err("it must be usual or public".to_owned()),
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an image from a Dockerfile
    Build(Box<commands::build::BuildArgs>),
    /// Pull an image from a registry into the store
    Pull(commands::images::PullArgs),
    /// Push an image of the store to its registry
    Push(commands::images::PushArgs),
    /// Save the credentials for a registry
    Login(commands::login::LoginArgs),
    /// Remove the credentials for a registry
    Logout(commands::login::LogoutArgs),
    /// List the tags of a repository
    Ls(commands::repository::LsArgs),
    /// Delete images or tags from their registry
    Delete(commands::repository::DeleteArgs),
    /// Print the digest of an image
    Digest(commands::look::DigestArgs),
    /// Print the manifest or index of an image
    Manifest(commands::look::ManifestArgs),
    /// Print the config of an image
    Config(commands::look::ConfigArgs),
    /// Write the files of an image as one tar
    Export(commands::look::ExportArgs),
    /// Show what two images differ in: config, layers, files
    Diff(commands::diff::DiffArgs),
    /// Copy an image between registries, OCI layouts and archives
    Copy(commands::copy::CopyArgs),
    /// List what refers to an image: signatures, attestations, SBOMs
    Referrers(commands::copy::ReferrersArgs),
    /// Make, show and annotate indexes of images
    Index(commands::index::IndexArgs),
    /// Push and pull files that are no images
    Artifact(commands::artifact::ArtifactArgs),
    /// List the images of the store
    Images(commands::images::ImagesArgs),
    /// Give an image another name
    Tag(commands::images::TagArgs),
    /// Remove images from the store
    Rmi(commands::images::RmiArgs),
    /// Print what is known of an image, as JSON
    Inspect(commands::images::InspectArgs),
    /// Free disk space: remove what no image needs
    Prune(commands::store::PruneArgs),
    /// Show the disk usage of the store
    Du(commands::store::DuArgs),
    /// Check whether this machine can build, and say what is missing
    Doctor(commands::doctor::DoctorArgs),
    /// Run inside a CI service
    Ci(commands::ci::CiArgs),
    /// Print the version
    Version,
}
