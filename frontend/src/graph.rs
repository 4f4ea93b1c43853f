//! The build graph: what the frontend hands to the solver.
//!
//! A [`Graph`] is a DAG of [`Step`]s without side effects: it names sources, commands and copies, and
//! carries the finished image config, but knows no file, process or network. An edge `a -> b` says that
//! `b` reads the result of `a`. Stages that the target does not reach are not in it.

use std::collections::BTreeMap;

use cooper_oci::{Digest, ImageConfig, Platform, Reference};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::ast::Span;

mod resolver;

pub use resolver::{ImageRequest, ImageResolver, ResolveError, ResolvedImage};

/// Index of a step in [`Graph::dag`].
pub type StepId = NodeIndex;

/// A planned build of one target for one platform.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The steps; an edge goes from a dependency to its dependent.
    pub dag: DiGraph<Step, ()>,
    /// The step whose result is the target's root filesystem.
    pub result: StepId,
    /// The image that the target becomes.
    pub image: ImagePlan,
    /// What the user should know though it does not stop the build.
    pub warnings: Vec<PlanWarning>,
    /// Places in the file of the stages that the target needs, counted from 0, in order.
    pub stages: Vec<usize>,
    /// The ARGs that the target knows, in the order of planning: those of its stages, and global ones that its FROM
    /// lines use.
    pub args: Vec<PlannedArg>,
}

impl Graph {
    /// The steps whose layers the result has, without base images; last one first.
    pub fn target_steps(&self) -> Vec<StepId> {
        let mut steps = Vec::new();
        let mut next = self.result;
        loop {
            let base = match self.dag.node_weight(next).map(|step| &step.op) {
                Some(Op::Run(op)) => op.base,
                Some(Op::Copy(op)) => op.base,
                Some(Op::Mkdir(op)) => op.base,
                _ => return steps,
            };
            steps.push(next);
            next = base;
        }
    }
}

/// An ARG with the value that it has in a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedArg {
    /// Its name.
    pub name: String,
    /// Its value, if it has one.
    pub value: Option<String>,
    /// The instruction.
    pub span: Span,
}

/// A remark on the Dockerfile, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanWarning {
    /// Name of the lint rule, such as `UndefinedVar`.
    pub rule: String,
    /// One line for people.
    pub message: String,
    /// Where.
    pub span: Option<Span>,
}

/// The config of the finished image, known before anything runs.
#[derive(Debug, Clone)]
pub struct ImagePlan {
    /// Config as it will be written, except `created`, `rootfs.diff_ids` and the `created` of new history entries.
    pub config: ImageConfig,
    /// The first so many history entries are the base image's and stay untouched.
    pub base_history_len: usize,
    /// `SOURCE_DATE_EPOCH` in seconds, if set.
    pub source_date_epoch: Option<i64>,
}

/// One vertex of the graph.
#[derive(Debug, Clone)]
pub struct Step {
    /// What is done.
    pub op: Op,
    /// Name for people, such as `[build 2/5] RUN make`.
    pub name: String,
    /// The stage's name, or its number when it has none; `None` for internal steps.
    pub stage: Option<String>,
    /// The instruction's place in the Dockerfile.
    pub span: Option<Span>,
    /// Run it even if a record exists (`--no-cache`, `--no-cache-filter`).
    pub ignore_cache: bool,
}

/// The operations. Sources first, then what changes a root filesystem.
#[derive(Debug, Clone)]
pub enum Op {
    /// The root filesystem of an image.
    Image(ImageOp),
    /// The empty root filesystem.
    Scratch,
    /// A directory of the client, filtered by its .dockerignore.
    Local(LocalOp),
    /// Files given in the Dockerfile itself (heredocs of COPY and ADD).
    Inline(Vec<InlineFile>),
    /// A file fetched from a URL (ADD).
    Http(HttpOp),
    /// A git checkout (ADD, named context).
    Git(GitOp),
    /// A command.
    Run(Box<RunOp>),
    /// COPY and ADD.
    Copy(Box<CopyOp>),
    /// WORKDIR: makes a directory and its parents.
    Mkdir(MkdirOp),
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImageSource {
    /// A registry, or the local store if it has the image.
    Registry(Reference),
    /// An OCI image layout directory on the client: path, and the tag or digest chosen in it.
    OciLayout {
        /// Directory, as the user wrote it.
        path: String,
        /// Tag (default `latest`).
        tag: Option<String>,
        /// Digest of the manifest or index.
        digest: Option<Digest>,
    },
}

/// A resolved image as the start of a stage or a source of files.
#[derive(Debug, Clone)]
pub struct ImageOp {
    /// Where its blobs are found.
    pub source: ImageSource,
    /// Digest of the manifest for `platform` (never of an index).
    pub manifest: Digest,
    /// The platform chosen.
    pub platform: Platform,
}

/// A client directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalOp {
    /// `context` for the main build context, otherwise the name given by `--build-context`.
    pub name: String,
}

/// One file of an inline source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// Name in the source's root.
    pub name: String,
    /// Content, expanded.
    pub content: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
}

/// A download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOp {
    /// The URL.
    pub url: String,
    /// Expected digest of the body.
    pub checksum: Option<Digest>,
    /// Name of the file, from the URL; `None` if it has to come from the response's headers, or else is
    /// `__unnamed__`.
    pub filename: Option<String>,
}

/// A git source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitOp {
    /// Remote and fragment or query, as written.
    pub url: String,
    /// Keep the `.git` directory.
    pub keep_git_dir: bool,
    /// Expected commit.
    pub checksum: Option<String>,
}

/// A RUN.
#[derive(Debug, Clone)]
pub struct RunOp {
    /// The root filesystem that it changes.
    pub base: StepId,
    /// The process, complete (shell included).
    pub argv: Vec<String>,
    /// The environment in order: image ENV, then ARGs in scope. Part of the key.
    pub env: Vec<(String, String)>,
    /// Proxy variables: given to the process, not part of the key.
    pub proxy_env: Vec<(String, String)>,
    /// Absolute working directory.
    pub cwd: String,
    /// `USER` as written and expanded; empty means root.
    pub user: String,
    /// Network of the process.
    pub network: NetworkMode,
    /// `--security=insecure`.
    pub insecure: bool,
    /// Mounts in the order written.
    pub mounts: Vec<MountOp>,
    /// Scripts given as heredocs with a `#!` line, found below `/dev/pipes/`.
    pub scripts: Vec<InlineFile>,
    /// Host name in the container.
    pub hostname: String,
    /// Extra lines of /etc/hosts: name and address. Not part of the key.
    pub extra_hosts: Vec<(String, String)>,
    /// Size of /dev/shm in bytes.
    pub shm_size_bytes: Option<u64>,
    /// Limits: name without `RLIMIT_`, soft, hard. Part of the key.
    pub ulimits: Vec<(String, u64, u64)>,
}

/// `--network` of a RUN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkMode {
    /// What the builder gives by default.
    Default,
    /// Only a loopback interface.
    None,
    /// The host's.
    Host,
}

/// One `--mount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOp {
    /// Absolute path in the container. For secrets and ssh the default is filled in; `None` for env-only secrets.
    pub target: Option<String>,
    /// What is mounted.
    pub kind: MountKind,
    /// Place of the flag.
    pub span: Option<Span>,
}

/// Mount types with their settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// Files of another step or of a context.
    Bind {
        /// Where from.
        from: StepId,
        /// Path in it (`/` for all).
        source: String,
        /// Writes fail if true, and are thrown away otherwise.
        read_only: bool,
    },
    /// A directory that outlives the build.
    Cache {
        /// Identity, namespace prefix included.
        id: String,
        /// How parallel users share it.
        sharing: CacheSharing,
        /// First content.
        from: Option<StepId>,
        /// Path in `from`.
        source: String,
        /// No writes.
        read_only: bool,
        /// Owner of a newly made directory.
        uid: u32,
        /// Group of a newly made directory.
        gid: u32,
        /// Permission bits of a newly made directory.
        mode: u32,
    },
    /// A tmpfs.
    Tmpfs {
        /// Size limit.
        size_bytes: Option<u64>,
        /// No writes.
        read_only: bool,
    },
    /// A secret of the client.
    Secret {
        /// Its name.
        id: String,
        /// Variable that receives it.
        env: Option<String>,
        /// Fail when missing.
        required: bool,
        /// Owner of the file.
        uid: u32,
        /// Group of the file.
        gid: u32,
        /// Permission bits.
        mode: u32,
    },
    /// An ssh agent socket of the client.
    Ssh {
        /// Its name.
        id: String,
        /// Fail when missing.
        required: bool,
        /// Owner of the socket.
        uid: u32,
        /// Group of the socket.
        gid: u32,
        /// Permission bits.
        mode: u32,
    },
}

/// `sharing=` of a cache mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheSharing {
    /// Many users at once.
    Shared,
    /// A second user gets a new directory.
    Private,
    /// A second user waits.
    Locked,
}

/// A COPY or ADD instruction.
#[derive(Debug, Clone)]
pub struct CopyOp {
    /// The root filesystem that it changes.
    pub base: StepId,
    /// Make the layer independently of `base` (`--link`).
    pub link: bool,
    /// What is copied, in order.
    pub sources: Vec<CopySource>,
    /// Absolute destination (WORKDIR already joined); a trailing `/` or `/.` is kept.
    pub dest: String,
    /// `--chown`, expanded.
    pub chown: Option<String>,
    /// `--chmod`, expanded and validated.
    pub chmod: Option<Chmod>,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude` patterns.
    pub excludes: Vec<String>,
    /// True for ADD.
    pub add: bool,
}

/// One source of a [`CopyOp`].
#[derive(Debug, Clone)]
pub struct CopySource {
    /// The step that holds the files.
    pub input: StepId,
    /// Path or pattern in it, as written and expanded (before cleaning).
    pub path: String,
    /// How it is taken.
    pub kind: SourceKind,
    /// Place of the word in the Dockerfile.
    pub span: Option<Span>,
}

/// How a source's files are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// Files as they are; owners are 0:0 if `preserve_owner` is false.
    Files {
        /// Stage and image sources keep owners.
        preserve_owner: bool,
    },
    /// A local archive is unpacked if it is one (ADD); other files are copied.
    UnpackIfArchive,
    /// A heredoc file.
    Inline,
    /// A download: mode 0600, one file; unpacked only with `--unpack`.
    Http {
        /// `--unpack` was given.
        unpack: bool,
    },
    /// A whole git tree.
    Git,
}

/// `--chmod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chmod {
    /// Octal bits.
    Octal(u32),
    /// Symbolic form such as `u=rwX,go=rX`, validated.
    Symbolic(String),
}

/// WORKDIR's directory.
#[derive(Debug, Clone)]
pub struct MkdirOp {
    /// The root filesystem that it changes.
    pub base: StepId,
    /// Absolute clean path.
    pub path: String,
    /// Owner as USER names it; empty means root.
    pub user: String,
    /// Time of new directories, seconds, if fixed.
    pub source_date_epoch: Option<i64>,
}

/// `--build-context NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// A client directory.
    Local(String),
    /// `docker-image://`.
    Image(Reference),
    /// `docker-image://scratch`.
    Scratch,
    /// `oci-layout://`.
    OciLayout {
        /// Directory.
        path: String,
        /// Tag.
        tag: Option<String>,
        /// Digest.
        digest: Option<Digest>,
    },
    /// A git URL.
    Git(String),
    /// An HTTP(S) URL of an archive or file.
    Http(String),
    /// `target:NAME`: another stage of this Dockerfile.
    Target(String),
}

/// Which steps ignore the cache.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NoCache {
    /// None.
    #[default]
    Never,
    /// All (`--no-cache`).
    Always,
    /// Those of the named stages (`--no-cache-filter`, case-insensitive).
    Stages(Vec<String>),
}

/// What the command line says about a build.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// `--target`.
    pub target: Option<String>,
    /// `--build-arg`, in order; the last of equal names counts.
    pub build_args: Vec<(String, String)>,
    /// `--label`, in order.
    pub labels: Vec<(String, String)>,
    /// Platform of the result; `None` means the build platform.
    pub platform: Option<Platform>,
    /// Platform that steps can run on natively; `None` means this machine's.
    pub build_platform: Option<Platform>,
    /// `--build-context`, by normalised name.
    pub named_contexts: BTreeMap<String, NamedContext>,
    /// `--network` of the command line.
    pub network: Option<NetworkMode>,
    /// `--allow network.host`.
    pub allow_network_host: bool,
    /// `--allow security.insecure`.
    pub allow_insecure: bool,
    /// `--no-cache`, `--no-cache-filter`.
    pub no_cache: NoCache,
    /// `--add-host`: name, address.
    pub extra_hosts: Vec<(String, String)>,
    /// `--shm-size`.
    pub shm_size_bytes: Option<u64>,
    /// `--ulimit`.
    pub ulimits: Vec<(String, u64, u64)>,
    /// Several platforms are being built: step names carry the platform.
    pub multi_platform: bool,
    /// The time, in Unix seconds, of what a keyword in `SOURCE_DATE_EPOCH` names; see
    /// [`epoch_source`](crate::epoch_source). Without it such a keyword leaves the argument unset.
    pub keyword_epoch: Option<i64>,
    /// Text and name of the main context's ignore file, for lint and hints.
    pub dockerignore: Option<(String, String)>,
}
