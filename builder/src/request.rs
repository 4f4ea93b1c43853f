//! What the caller asks of a build, and what it gets back.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cooper_frontend::graph::{NetworkMode, NoCache};
use cooper_oci::{Descriptor, Digest, Platform};

/// A build as the command line describes it.
#[derive(Debug, Clone, Default)]
pub struct BuildRequest {
    /// The main build context.
    pub context: ContextSource,
    /// Where the Dockerfile is; `None` means `Dockerfile` (or `dockerfile`) in the context.
    pub dockerfile: Option<DockerfileSource>,
    /// `--target`.
    pub target: Option<String>,
    /// `--build-arg`, values resolved.
    pub build_args: Vec<(String, String)>,
    /// `--build-context NAME=VALUE`, as written.
    pub build_contexts: Vec<(String, String)>,
    /// `--label`.
    pub labels: Vec<(String, String)>,
    /// `--platform`; empty means this machine's.
    pub platforms: Vec<Platform>,
    /// `--no-cache`, `--no-cache-filter`.
    pub no_cache: NoCache,
    /// `--pull`.
    pub pull: bool,
    /// `--network`.
    pub network: Option<NetworkMode>,
    /// `--allow network.host`.
    pub allow_network_host: bool,
    /// `--allow security.insecure`.
    pub allow_insecure: bool,
    /// `--add-host`: name, address.
    pub extra_hosts: Vec<(String, String)>,
    /// `--shm-size` in bytes.
    pub shm_size_bytes: Option<u64>,
    /// `--ulimit`: name, soft, hard.
    pub ulimits: Vec<(String, u64, u64)>,
    /// `--secret`, by id.
    pub secrets: BTreeMap<String, SecretSource>,
    /// `--ssh`: id to socket path.
    pub ssh: BTreeMap<String, PathBuf>,
    /// `--tag`, as written.
    pub tags: Vec<String>,
    /// `--output`, `--push`, `--load`, parsed.
    pub outputs: Vec<Output>,
    /// Doubtful things that BuildKit lets pass are errors.
    pub strict: bool,
}

/// A main build context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ContextSource {
    /// No files at all (a Dockerfile on standard input).
    #[default]
    Empty,
    /// A directory.
    Directory(PathBuf),
}

/// Where a Dockerfile is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileSource {
    /// A file on the client, absolute or relative to the current directory.
    Path(PathBuf),
    /// Text read from standard input.
    Text(Vec<u8>),
}

/// Where a secret's value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file.
    File(PathBuf),
    /// A variable of our environment.
    Environment(String),
}

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// `type=`.
    pub kind: OutputKind,
    /// `dest=`; `None` means standard output where that is allowed.
    pub dest: Option<PathBuf>,
    /// `name=`: references beside `--tag`.
    pub names: Vec<String>,
    /// All other `key=value` pairs, as written; unknown ones are refused by the builder.
    pub attributes: BTreeMap<String, String>,
}

/// Exporter types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// Into the local store under its tags.
    Image,
    /// Push to a registry.
    Registry,
    /// An OCI layout, as a tar file or (`tar=false`) a directory.
    Oci,
    /// A `docker load` archive, to a file or into an engine.
    Docker,
    /// Files into a directory.
    Local,
    /// Files into a tar.
    Tar,
    /// Nothing beyond the cache.
    CacheOnly,
}

/// What a build produced.
#[derive(Debug, Clone)]
pub struct BuildOutcome {
    /// Digest of the config: the image ID. For several platforms that of the first.
    pub config_digest: Digest,
    /// Manifest (or index) as exported or stored.
    pub descriptor: Option<Descriptor>,
    /// Names given to it.
    pub names: Vec<String>,
}
