//! Messages between the builder and the init helper, as JSON. Both are the same program: no version is needed.
//!
//! Builder to mother: one [`Order`] a container, with descriptors: the socket of its helper, the two outputs, the root,
//! ready detached mounts.
//! Helper to builder: [`Report`]s. The builder's end of the socket is the lifeline: when it closes, the container dies.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use cooper_sys::mount::{self, Attributes};
use serde::{Deserialize, Serialize};

use crate::spec::{MountKind, Network, Spec, clean};
use crate::{Error, ProcessUser, Result};

/// Bytes in JSON: a text in which each character stands for the byte of its number.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.iter().map(|byte| char::from(*byte)).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = text.chars().map(|c| u8::try_from(u32::from(c)).map_err(serde::de::Error::custom));
        bytes.collect::<std::result::Result<_, _>>().map(Bytes)
    }
}

/// Everything that the helper has to know.
#[derive(Serialize, Deserialize)]
pub struct Order {
    pub argv: Vec<Bytes>,
    /// `KEY=value`.
    pub env: Vec<Bytes>,
    pub cwd: Bytes,
    pub user: ProcessUser,
    pub hostname: String,
    pub own_network: bool,
    pub insecure: bool,
    pub mounts: Vec<Ordered>,
    pub hosts: Bytes,
    pub resolv_conf: Bytes,
    pub shm_size_bytes: u64,
    /// Name of the resource, soft and hard limit.
    pub rlimits: Vec<(String, u64, u64)>,
}

/// One mount of the caller.
#[derive(Serialize, Deserialize)]
pub struct Ordered {
    /// Absolute, cleaned.
    pub target: Bytes,
    pub what: OrderedKind,
}

#[derive(Serialize, Deserialize)]
pub enum OrderedKind {
    /// The detached mount in this place of the list of descriptors.
    Ready {
        fd: usize,
    },
    Tmpfs {
        size_bytes: Option<u64>,
        mode: u32,
        read_only: bool,
    },
    File {
        data: Bytes,
        uid: u32,
        gid: u32,
        mode: u32,
    },
}

/// What the helper tells.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// The command runs.
    Started,
    /// It never ran.
    Failed(Failure),
    /// It ended by itself.
    Exited(i32),
    /// It was ended by a signal.
    Signalled(i32),
}

/// Why a command never ran.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    pub step: String,
    pub message: String,
    /// Set when it was the command itself that could not be executed.
    pub exit_code: Option<i32>,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure.exit_code {
            Some(exit_code) => Self::Exec { message: failure.message, exit_code },
            None => Self::SetUp { step: failure.step, message: failure.message },
        }
    }
}

/// What is left of a [`Spec`] when the order is written.
pub struct Handed {
    pub order: Order,
    pub fds: Vec<OwnedFd>,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// Writes the order. Sources become detached mounts here, because their descriptors belong to the mount namespace of
/// the builder, from which the helper cannot clone.
pub fn hand_over(spec: Spec) -> Result<Handed> {
    use std::os::unix::ffi::OsStringExt as _;
    if spec.argv.is_empty() {
        return Err(Error::Spec("no command".to_owned()));
    }
    if !spec.cwd.is_absolute() {
        return Err(Error::Spec(format!("working directory {} is not absolute", spec.cwd.display())));
    }
    // There is no device cgroup: that device nodes cannot be opened is a property of each mount.
    let root = Attributes { nodev: !spec.insecure, ..Attributes::default() };
    let mut fds = vec![detach_root(spec.root, root)?];
    let mut mounts = Vec::with_capacity(spec.mounts.len());
    for mount in spec.mounts {
        let target = clean(&mount.target);
        if !mount.target.is_absolute() || target.as_os_str() == "/" {
            return Err(Error::Spec(format!(
                "invalid mount target {:?}",
                mount.target.display().to_string()
            )));
        }
        let mut ready = |source: OwnedFd, attributes: Attributes| -> Result<OrderedKind> {
            fds.push(detach_source(source, attributes)?);
            Ok(OrderedKind::Ready { fd: fds.len() - 1 })
        };
        let what = match mount.kind {
            MountKind::Bind { source, read_only, nosuid, nodev } => ready(
                source,
                Attributes { read_only, nosuid, nodev: nodev || !spec.insecure, noexec: false },
            )?,
            MountKind::Socket { source } => ready(source, Attributes::HARMLESS)?,
            MountKind::Tmpfs { size_bytes, mode, read_only } => {
                OrderedKind::Tmpfs { size_bytes, mode, read_only }
            }
            MountKind::Secret { data, uid, gid, mode } => {
                OrderedKind::File { data: Bytes(data), uid, gid, mode }
            }
        };
        mounts.push(Ordered { target: Bytes(target.into_os_string().into_vec()), what });
    }
    let env = spec.env.into_iter().map(|(key, value)| {
        let mut line = key.into_vec();
        line.push(b'=');
        line.extend(value.into_vec());
        Bytes(line)
    });
    let order = Order {
        argv: spec.argv.into_iter().map(|word| Bytes(word.into_vec())).collect(),
        env: env.collect(),
        cwd: Bytes(spec.cwd.into_os_string().into_vec()),
        user: spec.user,
        hostname: spec.hostname,
        own_network: spec.network == Network::None,
        insecure: spec.insecure,
        mounts,
        hosts: Bytes(spec.hosts),
        resolv_conf: Bytes(spec.resolv_conf),
        shm_size_bytes: spec.shm_size_bytes,
        rlimits: spec
            .rlimits
            .into_iter()
            .map(|(kind, soft, hard)| (kind.name().to_owned(), soft, hard))
            .collect(),
    };
    Ok(Handed { order, fds, stdout: spec.stdout, stderr: spec.stderr })
}

/// A detached mount that this container may use up, with attributes added: the root itself if it is one, else a clone.
fn detach_root(root: OwnedFd, attributes: Attributes) -> Result<OwnedFd> {
    let mount = if mount::is_detached(&root)? { root } else { clone(&root)? };
    mount::set_attributes(&mount, attributes, true)?;
    Ok(mount)
}

/// A detached clone of a source, with attributes added. The source itself stays free for other containers; only before
/// Linux 6.15, where a detached mount cannot be cloned, it is used up.
fn detach_source(source: OwnedFd, attributes: Attributes) -> Result<OwnedFd> {
    let mount = match clone(&source) {
        Ok(mount) => mount,
        Err(e) if mount::is_detached(&source)? && !mount::can_clone_detached() => {
            drop(e);
            source
        }
        Err(e) => return Err(e.into()),
    };
    mount::set_attributes(&mount, attributes, true)?;
    Ok(mount)
}

/// Recursive only where the kernel insists: mounts that a user namespace inherited cannot be uncovered.
fn clone(source: &OwnedFd) -> cooper_sys::Result<OwnedFd> {
    mount::clone_fd(source, false).or_else(|_| mount::clone_fd(source, true))
}

impl Bytes {
    pub fn path(&self) -> PathBuf {
        PathBuf::from(self.os_string())
    }

    pub fn os_string(&self) -> std::ffi::OsString {
        use std::os::unix::ffi::OsStringExt as _;
        std::ffi::OsString::from_vec(self.0.clone())
    }
}
