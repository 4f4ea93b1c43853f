//! What the caller asks of a build, and what it gets back.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use cooper_frontend::graph::{NamedContext, NetworkMode, NoCache};
use cooper_oci::tar::{Budget, Reader};
use cooper_oci::{Descriptor, Digest, Platform, media};

use crate::remote::git::Location;
use crate::ssh::SshAgent;

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
    /// `--ssh`, by id.
    pub ssh: BTreeMap<String, SshAgent>,
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
    /// A directory that holds the context and nothing else: its ignore file does not count.
    Tree(PathBuf),
    /// A tar archive, plain or compressed.
    Tar(ArchiveStream),
    /// A git URL.
    Git(String),
    /// The URL of an archive, or of a Dockerfile.
    Http(String),
}

impl ContextSource {
    /// What a context argument names if it is no path.
    pub fn remote(text: &str) -> Option<ContextSource> {
        if text.starts_with("github.com/") {
            return Some(ContextSource::Git(text.to_owned()));
        }
        match NamedContext::parse(text) {
            Ok(NamedContext::Git(url)) => Some(ContextSource::Git(url)),
            Ok(NamedContext::Http(url)) => Some(ContextSource::Http(url)),
            _ => None,
        }
    }

    /// Whether it is a git repository that is fetched by ssh.
    pub fn is_over_ssh(&self) -> bool {
        let ContextSource::Git(url) = self else { return false };
        Location::parse(url).is_ok_and(|place| place.url.is_none_or(|url| url.scheme() == "ssh"))
    }
}

/// An archive that is read once, while the build runs.
#[derive(Clone)]
pub struct ArchiveStream(Arc<Mutex<Option<Box<dyn Read + Send>>>>);

impl ArchiveStream {
    /// Reads from `reader`, such as standard input.
    pub fn new(reader: impl Read + Send + 'static) -> ArchiveStream {
        ArchiveStream(Arc::new(Mutex::new(Some(Box::new(reader)))))
    }

    /// The reader, the first time.
    pub(crate) fn take(&self) -> Option<Box<dyn Read + Send>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for ArchiveStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArchiveStream")
    }
}

impl PartialEq for ArchiveStream {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ArchiveStream {}

/// Bytes that [`is_archive`] looks at.
pub const ARCHIVE_HEAD_BYTES: usize = 1024;

/// Whether a context on standard input or behind a URL is an archive, by its first [`ARCHIVE_HEAD_BYTES`] (fewer if
/// there are fewer); otherwise it is a Dockerfile.
pub fn is_archive(head: &[u8]) -> bool {
    const MAGIC: [&[u8]; 4] = [b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    MAGIC.iter().any(|magic| head.starts_with(magic))
        || head.len() >= 512 && Reader::new(head, Budget::layer()).next().is_ok_and(|entry| entry.is_some())
}

/// Where a Dockerfile is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileSource {
    /// A file on the client, absolute or relative to the current directory.
    Path(PathBuf),
    /// Text read from standard input.
    Text(Vec<u8>),
    /// An HTTP URL.
    Url(String),
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

impl BuildOutcome {
    /// What names the image: the digest of its config; of several platforms that of the index.
    pub fn image_id(&self) -> &Digest {
        match &self.descriptor {
            Some(descriptor) if media::is_index(&descriptor.media_type) => &descriptor.digest,
            _ => &self.config_digest,
        }
    }
}
