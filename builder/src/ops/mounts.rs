//! The `--mount`s of a RUN: what they add to its key, and what the sandbox gets.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cooper_frontend::graph::{
    CacheSharing, CopyOp, CopySource, MountKind, MountOp, RunOp, SourceKind, StepId,
};
use cooper_sandbox::{Mount, MountKind as SandboxMount};
use cooper_snapshotter::{Active, CacheMount, Sharing, View};
use cooper_sys::fs::{self, OFlags};

use super::run::source_step;
use super::sources::{self, with_tree};
use super::{bring, unpack};
use crate::copy::{self, CopyOptions};
use crate::error::{BuildError, Kind};
use crate::request::{BuildRequest, SecretSource};
use crate::rootfs::{Layer, Rootfs};
use crate::solver::key::Inputs;
use crate::solver::record::{Record, RecordedLayer};
use crate::solver::{Build, Output};
use crate::ssh::Forward;
use crate::task;

/// Secrets larger than this are refused, as BuildKit does.
const MAX_SECRET_BYTES: usize = 500 << 10;

/// Owner, group and mode of a cache that says nothing else.
const DEFAULT_LOOK: (u32, u32, u32) = (0, 0, 0o755);

/// Adds the mounts to a RUN's named inputs. Contents of caches and secrets never count.
pub async fn key_inputs(
    build: &Arc<Build>,
    mounts: &[MountOp],
    outputs: &HashMap<StepId, Output>,
    inputs: &mut Inputs,
) -> Result<(), BuildError> {
    for mount in mounts {
        let target = mount.target.as_deref().unwrap_or_default();
        let name = format!("mount {target}");
        match &mount.kind {
            MountKind::Bind { from, source, read_only } => {
                inputs.add(&name, format!("bind {source}{}", if *read_only { "" } else { ", writable" }));
                let output = step_output(outputs, *from)?;
                sources::mount_key_inputs(build, output, source, mount.span, inputs).await?;
            }
            // Identity of the cache is no part of the key: its content never is.
            MountKind::Cache { read_only, uid, gid, mode, .. } => {
                let look = if (*uid, *gid, *mode) == DEFAULT_LOOK {
                    String::new()
                } else {
                    format!(", {uid}:{gid} {mode:o}")
                };
                inputs.add(&name, format!("cache{}{look}", if *read_only { ", read-only" } else { "" }));
            }
            MountKind::Tmpfs { size_bytes, read_only } => {
                inputs.add(
                    &name,
                    format!("tmpfs {size_bytes:?}{}", if *read_only { ", read-only" } else { "" }),
                );
            }
            MountKind::Secret { id, env, required, uid, gid, mode } => {
                inputs.add(&name, format!("secret {id} {env:?} {required} {uid}:{gid} {mode:o}"));
            }
            MountKind::Ssh { id, required, uid, gid, mode } => {
                inputs.add(&name, format!("ssh {id} {required} {uid}:{gid} {mode:o}"));
            }
        }
    }
    Ok(())
}

fn step_output(outputs: &HashMap<StepId, Output>, id: StepId) -> Result<&Output, BuildError> {
    outputs.get(&id).ok_or_else(|| BuildError::new(Kind::Internal, "the source of a mount is missing"))
}

/// A bind's source in the words of COPY: everything at one path, put at [`MATERIALISED`].
fn whole(from: StepId, path: &str, mount: &MountOp, preserve_owner: bool) -> (CopySource, CopyOp) {
    let source = CopySource {
        input: from,
        path: path.to_owned(),
        kind: SourceKind::Files { preserve_owner },
        span: mount.span,
    };
    let op = CopyOp {
        base: from,
        link: false,
        sources: vec![source.clone()],
        dest: MATERIALISED.into(),
        chown: None,
        chmod: None,
        parents: false,
        excludes: Vec::new(),
        add: false,
    };
    (source, op)
}

/// Where files of a context lie in the layer made for a mount.
const MATERIALISED: &str = "/files";

/// Mounts with everything that must stay alive while the command runs.
#[derive(Default)]
pub struct HeldMounts {
    mounts: Vec<Held>,
    sources: Vec<Source>,
}

enum Held {
    Bind { source: usize, path: String, read_only: bool },
    Cache { mount: Arc<CacheMount>, file: Option<String>, read_only: bool },
    CacheLater { from: Option<(usize, String)> },
    Tmpfs { size_bytes: Option<u64>, read_only: bool },
    Secret { data: Option<Vec<u8>>, env: Option<String>, uid: u32, gid: u32, mode: u32, file: bool },
    Ssh { forward: Option<Forward> },
}

enum Source {
    Rootfs(Rootfs),
    ReadOnly(View),
    ThrowAway(Box<Active>),
}

impl Source {
    fn root(&self) -> Result<BorrowedFd<'_>, BuildError> {
        match self {
            Source::ReadOnly(view) => Ok(view.root()),
            Source::ThrowAway(active) => Ok(active.root()),
            Source::Rootfs(_) => Err(BuildError::new(Kind::Internal, "a mount's source was not opened")),
        }
    }
}

/// Brings and unpacks what the mounts show, and reads secrets.
pub async fn prepare(
    build: &Arc<Build>,
    _step: usize,
    mounts: &[MountOp],
    outputs: &HashMap<StepId, Output>,
) -> Result<HeldMounts, BuildError> {
    let mut held = HeldMounts::default();
    for mount in mounts {
        let source = match source_step(&mount.kind) {
            None => None,
            Some((from, path)) => {
                let (rootfs, path) = match step_output(outputs, from)? {
                    Output::Rootfs(rootfs) => {
                        unpack(build, rootfs).await?;
                        (rootfs.clone(), path.to_owned())
                    }
                    other => (materialise(build, other, path, from, mount).await?, MATERIALISED.to_owned()),
                };
                held.sources.push(Source::Rootfs(rootfs));
                Some((held.sources.len() - 1, path))
            }
        };
        held.mounts.push(match &mount.kind {
            MountKind::Bind { read_only, .. } => {
                let (source, path) =
                    source.ok_or_else(|| BuildError::new(Kind::Internal, "a bind without source"))?;
                Held::Bind { source, path, read_only: *read_only }
            }
            MountKind::Cache { .. } => Held::CacheLater { from: source },
            MountKind::Tmpfs { size_bytes, read_only } => {
                Held::Tmpfs { size_bytes: *size_bytes, read_only: *read_only }
            }
            MountKind::Secret { id, env, required, uid, gid, mode } => Held::Secret {
                data: secret(&build.request, id, *required).map_err(|e| e.at(mount.span))?,
                env: env.clone(),
                uid: *uid,
                gid: *gid,
                mode: *mode,
                file: mount.target.is_some(),
            },
            MountKind::Ssh { id, required, uid, gid, mode } => {
                let socket = build.request.ssh.get(id).cloned();
                if socket.is_none() && *required {
                    return Err(BuildError::user(format!("no SSH key \"{id}\" forwarded from the client"))
                        .hint(format!("give it with --ssh {id}"))
                        .at(mount.span));
                }
                let forward = match socket {
                    None => None,
                    Some(agent) => {
                        let directory = build.session.store.temp_dir("ssh")?;
                        Some(Forward::new(directory, agent, *uid, *gid, *mode)?)
                    }
                };
                Held::Ssh { forward }
            }
        });
    }
    Ok(held)
}

/// Files of a context as a root filesystem: what the ignore file leaves, owned by root.
async fn materialise(
    build: &Arc<Build>,
    output: &Output,
    path: &str,
    from: StepId,
    mount: &MountOp,
) -> Result<Rootfs, BuildError> {
    let (source, op) = whole(from, path, mount, false);
    let mut inputs = Inputs::default();
    inputs.add("op", "files of a context");
    sources::mount_key_inputs(build, output, path, mount.span, &mut inputs).await?;
    let key = inputs.key();
    if Record::find(&build.session.store, &key).is_none() {
        bring(build, output, None).await?;
    }
    let (build, output) = (build.clone(), output.clone());
    task::blocking("copy files for a mount", move || {
        let store = &build.session.store;
        let _lock = store.lock_step(&key)?;
        if let Some(record) = Record::find(store, &key) {
            return Ok(rootfs_of_record(&record));
        }
        let active = store.prepare(&cooper_snapshotter::Chain::default(), &[])?;
        with_tree(&build, &output, |tree| {
            let selection = copy::select_path(tree, &source.path, false)?;
            copy::copy(&selection, active.root(), &op, &CopyOptions::default())?;
            Ok(())
        })
        .map_err(|e| e.at(source.span))?;
        let made = store.commit(active)?;
        store.sync()?;
        let record = Record {
            inputs,
            layer: RecordedLayer { diff_id: made.diff_id, content: made.content.0 },
            created_seconds: 0,
            duration_ms: 0,
        };
        record.publish(store, &key, "near-context")?;
        Ok(rootfs_of_record(&record))
    })
    .await
}

fn rootfs_of_record(record: &Record) -> Rootfs {
    Rootfs::default().with(Layer {
        diff_id: record.layer.diff_id.clone(),
        identity: record.layer.content.clone(),
        created_seconds: None,
    })
}

/// The value of a secret.
pub(crate) fn secret(
    request: &BuildRequest,
    id: &str,
    required: bool,
) -> Result<Option<Vec<u8>>, BuildError> {
    let data = match request.secrets.get(id) {
        None if required => {
            return Err(BuildError::user(format!("secret {id}: not found"))
                .hint(format!("give it with --secret id={id},src=FILE or --secret id={id},env=NAME")));
        }
        None => return Ok(None),
        Some(SecretSource::File(path)) => std::fs::read(path).map_err(|e| {
            BuildError::user(format!("secret {id}: cannot read {}", path.display())).caused_by(e)
        })?,
        Some(SecretSource::Environment(name)) => std::env::var_os(name)
            .ok_or_else(|| BuildError::user(format!("secret {id}: the variable {name} is not set")))?
            .into_vec(),
    };
    if data.len() > MAX_SECRET_BYTES {
        return Err(BuildError::user(format!("secret {id} too big. max size {MAX_SECRET_BYTES}")));
    }
    Ok(Some(data))
}

/// Opens sources and takes the cache mounts; may wait for a locked one. Blocking.
pub fn open_cache_mounts(
    build: &Build,
    mounts: &[MountOp],
    held: &mut HeldMounts,
    ignore_cache: bool,
) -> Result<(), BuildError> {
    let store = &build.session.store;
    let writable: Vec<usize> = held
        .mounts
        .iter()
        .filter_map(|m| match m {
            Held::Bind { source, read_only: false, .. } => Some(*source),
            _ => None,
        })
        .collect();
    let mut contents = Vec::new();
    for (n, source) in held.sources.iter_mut().enumerate() {
        if let Source::Rootfs(rootfs) = source {
            contents.push(rootfs.content());
            let chain = rootfs.chain();
            *source = if writable.contains(&n) {
                Source::ThrowAway(Box::new(store.prepare(chain, &[])?))
            } else {
                Source::ReadOnly(store.view(chain)?)
            };
        }
    }
    let HeldMounts { mounts: all, sources } = held;
    let mut taken: HashMap<String, (Arc<CacheMount>, Option<String>)> = HashMap::new();
    for (op, slot) in mounts.iter().zip(all) {
        let (Held::CacheLater { from }, MountKind::Cache { id, sharing, read_only, uid, gid, mode, .. }) =
            (&*slot, &op.kind)
        else {
            continue;
        };
        let sharing = match sharing {
            CacheSharing::Shared => Sharing::Shared,
            CacheSharing::Private => Sharing::Private,
            CacheSharing::Locked => Sharing::Locked,
        };
        let from = from.clone();
        // Attributes and first content belong to a cache's identity, as with BuildKit.
        let mut identity = id.clone();
        match &from {
            Some((from, path)) => {
                if let Some(content) = contents.get(*from) {
                    let _ = write!(identity, "\0{content}\0{path}");
                }
            }
            None if (*uid, *gid, *mode) != DEFAULT_LOOK => {
                let _ = write!(identity, "\0{uid}:{gid}:{mode:o}");
            }
            None => {}
        }
        // One that the command has twice is taken once, by the first one's sharing.
        if let Some((mount, file)) = taken.get(&identity) {
            *slot = Held::Cache { mount: Arc::clone(mount), file: file.clone(), read_only: *read_only };
            continue;
        }
        let mount = Arc::new(store.cache_mount(&identity, sharing)?);
        let dir = fs::open_dir(mount.path())?;
        let mut file = None;
        if let Some((from, path)) = &from {
            let first = fs::resolve_in_root(sources[*from].root()?, Path::new(path), OFlags::empty());
            let is_dir = first.and_then(fs::fstat).is_ok_and(|stat| stat.is_dir());
            file = (!is_dir).then(|| base_name(path));
        }
        if ignore_cache && !mount.is_fresh() {
            for entry in fs::read_dir(&dir)? {
                fs::remove_tree_at(&dir, &entry.name)?;
            }
        }
        if mount.is_fresh() {
            match from {
                None => {
                    fs::chown_fd(&dir, *uid, *gid)?;
                    fs::chmod_fd(&dir, *mode)?;
                }
                Some((from, path)) => fill(&dir, sources[from].root()?, &path, op)?,
            }
        }
        taken.insert(identity, (Arc::clone(&mount), file.clone()));
        *slot = Held::Cache { mount, file, read_only: *read_only };
    }
    Ok(())
}

fn base_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Gives a new cache mount its first content.
fn fill(dir: &OwnedFd, from: BorrowedFd<'_>, path: &str, mount: &MountOp) -> Result<(), BuildError> {
    let (_, mut op) = whole(StepId::new(0), path, mount, true);
    op.dest = "/".into();
    let selection = copy::select_path(&sources::stage_tree(from)?, path, true)?;
    copy::copy(&selection, dir.as_fd(), &op, &CopyOptions::default())?;
    let top = fs::fstat(fs::resolve_in_root(from, Path::new(path), OFlags::empty())?)?;
    if top.is_dir() {
        fs::chown_fd(dir, top.uid, top.gid)?;
        fs::chmod_fd(dir, top.mode)?;
    }
    Ok(())
}

impl HeldMounts {
    /// Variables that secrets set; a missing optional one is empty.
    pub fn secret_env(&self) -> Vec<(&str, &OsStr)> {
        use std::os::unix::ffi::OsStrExt;
        self.mounts
            .iter()
            .filter_map(|m| match m {
                Held::Secret { data, env: Some(name), .. } => {
                    Some((name.as_str(), OsStr::from_bytes(data.as_deref().unwrap_or_default())))
                }
                _ => None,
            })
            .collect()
    }

    /// The mounts for the sandbox.
    pub fn sandbox_mounts(&self, op: &RunOp) -> Result<Vec<Mount>, BuildError> {
        let mut out = Vec::new();
        for (held, mount) in self.mounts.iter().zip(&op.mounts) {
            let Some(target) = &mount.target else { continue };
            let kind = match held {
                Held::Bind { source, path, read_only } => {
                    let root = self.sources[*source].root()?;
                    let source =
                        fs::resolve_in_root(root, Path::new(path), OFlags::empty()).map_err(|e| {
                            BuildError::user(format!("the mount source {path} cannot be used"))
                                .caused_by(e)
                                .at(mount.span)
                        })?;
                    SandboxMount::Bind { source, read_only: *read_only, nosuid: false, nodev: false }
                }
                Held::Cache { mount, file, read_only } => SandboxMount::Bind {
                    source: match file {
                        None => fs::open_path(mount.path())?,
                        Some(file) => fs::open_path(&mount.path().join(file))?,
                    },
                    read_only: *read_only,
                    nosuid: false,
                    nodev: true,
                },
                Held::CacheLater { .. } => {
                    return Err(BuildError::new(Kind::Internal, "a cache mount was not opened"));
                }
                Held::Tmpfs { size_bytes, read_only } => {
                    SandboxMount::Tmpfs { size_bytes: *size_bytes, mode: 0o1777, read_only: *read_only }
                }
                Held::Secret { file: false, .. }
                | Held::Secret { data: None, .. }
                | Held::Ssh { forward: None } => {
                    continue;
                }
                Held::Secret { data: Some(data), uid, gid, mode, .. } => {
                    SandboxMount::Secret { data: data.clone(), uid: *uid, gid: *gid, mode: *mode }
                }
                Held::Ssh { forward: Some(forward) } => SandboxMount::Socket { source: forward.socket()? },
            };
            out.push(Mount { target: PathBuf::from(target), kind });
        }
        Ok(out)
    }
}

/// Heredoc scripts with a `#!` line, where the command expects them.
pub fn scripts(op: &RunOp) -> Vec<Mount> {
    op.scripts
        .iter()
        .map(|file| Mount {
            target: Path::new("/dev/pipes").join(&file.name),
            kind: SandboxMount::Secret { data: file.content.clone(), uid: 0, gid: 0, mode: file.mode },
        })
        .collect()
}
