//! What the caller asks for: one command, its root, its mounts, its identity.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use cooper_sys::process::Resource;

use crate::ProcessUser;

/// One container. Descriptors are used up by [`start`](crate::start). Not `Debug`: it may hold secrets.
pub struct Spec {
    /// The root: a detached mount or a directory.
    pub root: OwnedFd,
    /// The command. The first word is looked up in `PATH` of `env` if it has no slash.
    pub argv: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory, absolute; must exist.
    pub cwd: PathBuf,
    /// Who the command is.
    pub user: ProcessUser,
    /// Host name.
    pub hostname: String,
    /// Which network it sees.
    pub network: Network,
    /// All capabilities, no seccomp filter, nothing masked, `/sys` writable.
    pub insecure: bool,
    /// Mounts beside the default ones; of two with one target the last wins.
    pub mounts: Vec<Mount>,
    /// Content of `/etc/hosts`.
    pub hosts: Vec<u8>,
    /// Content of `/etc/resolv.conf`.
    pub resolv_conf: Vec<u8>,
    /// Size of `/dev/shm`; 0 means 64 MiB.
    pub shm_size_bytes: u64,
    /// Limits: resource, soft, hard; `u64::MAX` is "unlimited". Defaults where not given: `Nofile` 1024:1048576 (or as
    /// high as allowed), `Core` 0.
    pub rlimits: Vec<(Resource, u64, u64)>,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// The network of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// The one that the builder has.
    #[default]
    Host,
    /// An own one with nothing but a loopback device.
    None,
}

/// One mount.
pub struct Mount {
    /// Where: an absolute path, resolved inside the root.
    pub target: PathBuf,
    /// What.
    pub kind: MountKind,
}

/// What is mounted.
pub enum MountKind {
    /// A file or directory of the host, or a detached mount.
    Bind {
        /// The source, `O_PATH` is enough.
        source: OwnedFd,
        /// Nothing can be changed through it.
        read_only: bool,
        /// Set-user-ID bits and file capabilities have no effect.
        nosuid: bool,
        /// Device nodes cannot be opened; always so unless the container is insecure.
        nodev: bool,
    },
    /// An empty directory in memory.
    Tmpfs {
        /// Upper limit; without it half of the memory.
        size_bytes: Option<u64>,
        /// Mode of the directory.
        mode: u32,
        /// Nothing can be written to it.
        read_only: bool,
    },
    /// A read-only file in memory, which no layer will ever hold: a secret, or a script if its mode has an execute bit.
    Secret {
        /// Content.
        data: Vec<u8>,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Mode.
        mode: u32,
    },
    /// A Unix socket of the host.
    Socket {
        /// The socket, opened with `O_PATH`.
        source: OwnedFd,
    },
}

/// What must lie at a mount's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// A directory.
    Dir,
    /// A file.
    File,
}

/// The default mounts that lie in the root itself.
const DEFAULT_TARGETS: [(&str, TargetKind); 5] = [
    ("/proc", TargetKind::Dir),
    ("/dev", TargetKind::Dir),
    ("/sys", TargetKind::Dir),
    ("/etc/hosts", TargetKind::File),
    ("/etc/resolv.conf", TargetKind::File),
];

impl Mount {
    /// What must lie at the target. A source whose kind cannot be told counts as a file.
    pub fn target_kind(&self) -> TargetKind {
        let dir = match &self.kind {
            MountKind::Tmpfs { .. } => true,
            MountKind::Secret { .. } | MountKind::Socket { .. } => false,
            MountKind::Bind { source, .. } => cooper_sys::fs::fstat(source).is_ok_and(|stat| stat.is_dir()),
        };
        if dir { TargetKind::Dir } else { TargetKind::File }
    }
}

impl Spec {
    /// [`mount_targets`] of this container.
    pub fn mount_targets(&self) -> Vec<(PathBuf, TargetKind)> {
        mount_targets(&self.mounts)
    }
}

/// Every path on which a container with these mounts has something mounted and that must be in its root beforehand,
/// sorted.
///
/// What is missing there gets made at start, and would stay in the layer: a caller that wants no trace puts stubs for them
/// below the writable layer. Targets inside another mount are left out.
pub fn mount_targets(mounts: &[Mount]) -> Vec<(PathBuf, TargetKind)> {
    let mut all: Vec<(PathBuf, TargetKind)> =
        DEFAULT_TARGETS.iter().map(|(path, kind)| (PathBuf::from(path), *kind)).collect();
    for mount in mounts {
        let target = clean(&mount.target);
        all.retain(|(path, _)| *path != target);
        all.push((target, mount.target_kind()));
    }
    let paths: Vec<PathBuf> = all.iter().map(|(path, _)| path.clone()).collect();
    all.retain(|(path, _)| !paths.iter().any(|other| path != other && path.starts_with(other)));
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

/// An absolute path without `.`, `..` and double slashes, by text alone.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::clean;
    use std::path::Path;

    #[test]
    fn paths_are_cleaned_by_text() {
        for (path, expected) in [("/a//b/./c/", "/a/b/c"), ("a/../../b", "/b"), ("", "/"), ("/..", "/")] {
            assert_eq!(clean(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
