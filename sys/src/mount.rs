//! Mounts by descriptor: detached mounts, clones, attributes.
//!
//! A detached mount is a descriptor of a mount that is in no tree yet; it goes away when the last descriptor is closed.
//! Nothing here mounts on a path: [`move_mount`] takes the descriptor of the target.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use crate::error::Context as _;
use crate::{Error, Result};

/// Attributes of a mount. `false` leaves an attribute as it is, in [`set_attributes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Read-only.
    pub read_only: bool,
    /// Set-user-ID bits and file capabilities have no effect.
    pub nosuid: bool,
    /// Device nodes cannot be opened.
    pub nodev: bool,
    /// Nothing can be executed.
    pub noexec: bool,
}

impl Attributes {
    /// `nosuid,nodev,noexec`.
    pub const HARMLESS: Self = Self { read_only: false, nosuid: true, nodev: true, noexec: true };

    /// The same, read-only.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    fn flags(self) -> MountAttrFlags {
        let mut flags = MountAttrFlags::empty();
        flags.set(MountAttrFlags::MOUNT_ATTR_RDONLY, self.read_only);
        flags.set(MountAttrFlags::MOUNT_ATTR_NOSUID, self.nosuid);
        flags.set(MountAttrFlags::MOUNT_ATTR_NODEV, self.nodev);
        flags.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, self.noexec);
        flags
    }
}

/// One option of a filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FsOption<'a> {
    /// A flag ("ro").
    Flag(&'a str),
    /// A key with a value ("size=65536k").
    Value(&'a str, String),
}

/// A new, detached mount of a filesystem of the given type.
pub fn mount_fs(kind: &'static str, options: &[FsOption<'_>], attributes: Attributes) -> Result<OwnedFd> {
    let fs = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).at("fsopen", kind)?;
    // The name that mountinfo shows as the source.
    let _ = rustix::mount::fsconfig_set_string(&fs, "source", kind);
    for option in options {
        match option {
            FsOption::Flag(key) => {
                rustix::mount::fsconfig_set_flag(&fs, *key).map_err(|e| explain("fsconfig", kind, &fs, e))?;
            }
            FsOption::Value(key, value) => {
                rustix::mount::fsconfig_set_string(&fs, *key, value.as_str())
                    .map_err(|e| explain("fsconfig", kind, &fs, e))?;
            }
        }
    }
    create(kind, &fs, attributes)
}

/// Ends the configuration of a filesystem and mounts it, detached.
pub(crate) fn create(kind: &'static str, fs: &OwnedFd, attributes: Attributes) -> Result<OwnedFd> {
    rustix::mount::fsconfig_create(fs).map_err(|e| explain("mount", kind, fs, e))?;
    rustix::mount::fsmount(fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes.flags())
        .map_err(|e| explain("fsmount", kind, fs, e))
}

/// An error with what the kernel wrote into the log of the filesystem context.
pub(crate) fn explain(op: &'static str, kind: &str, fs: &OwnedFd, error: rustix::io::Errno) -> Error {
    let mut object = kind.to_owned();
    let mut buffer = [0; 1024];
    while let Ok(length) = rustix::io::read(fs, &mut buffer) {
        if length == 0 {
            break;
        }
        let line = String::from_utf8_lossy(&buffer[..length]);
        object.push_str(" (");
        object.push_str(line.trim_start_matches(['e', 'w', 'i']).trim());
        object.push(')');
    }
    Error::new(op, object, error)
}

/// A detached clone of what lies at `path` below `dir` (a bind mount that is in no tree yet).
pub fn clone_at(dir: impl AsFd, path: impl AsRef<Path>, recursive: bool) -> Result<OwnedFd> {
    open_tree(dir.as_fd(), path.as_ref(), recursive, OpenTreeFlags::empty())
}

/// A detached clone of the file or directory behind a descriptor (also `O_PATH`).
pub fn clone_fd(source: impl AsFd, recursive: bool) -> Result<OwnedFd> {
    open_tree(source.as_fd(), Path::new(""), recursive, OpenTreeFlags::AT_EMPTY_PATH)
}

/// A detached clone of what lies at a trusted path of the host.
pub fn clone_path(path: &Path, recursive: bool) -> Result<OwnedFd> {
    clone_at(CWD, path, recursive)
}

fn open_tree(dir: BorrowedFd<'_>, path: &Path, recursive: bool, extra: OpenTreeFlags) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | extra;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(dir, path, flags).at("clone mount", path)
}

/// Puts a detached mount on the file or directory behind `target`.
pub fn move_mount(mount: impl AsFd, target: impl AsFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags).at("move mount", "")
}

/// Puts a detached mount on a trusted path of the host.
pub fn move_mount_to(mount: impl AsFd, target: &Path) -> Result<()> {
    rustix::mount::move_mount(mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .at("move mount", target)
}

/// Adds attributes to a mount, and with `recursive` to all mounts below it.
pub fn set_attributes(mount: impl AsFd, attributes: Attributes, recursive: bool) -> Result<()> {
    let attr = MountAttr { attr_set: attributes.flags().bits().into(), ..MountAttr::default() };
    mount_setattr(mount.as_fd(), attr, recursive).at("mount_setattr", "")
}

/// True when `fd` is the root of a mount that is in no tree of this process: a detached one.
pub fn is_detached(fd: impl AsFd) -> Result<bool> {
    let stat = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).at("stat", "mount")?;
    if !stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Ok(false);
    }
    const TABLE: &str = "/proc/self/mountinfo";
    let table = std::fs::read(TABLE).at("read", TABLE)?;
    let id = format!("{} ", stat.stx_mnt_id);
    Ok(!table.split(|byte| *byte == b'\n').any(|line| line.starts_with(id.as_bytes())))
}

/// True when the kernel can clone (parts of) a detached mount, as Linux can since 6.15. Where it cannot, only a mount that
/// is in the tree of this mount namespace can be bound from. Asked once.
pub fn can_clone_detached() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        mount_fs("tmpfs", &[], Attributes::HARMLESS).is_ok_and(|mount| clone_fd(&mount, false).is_ok())
    })
}

/// Stops all propagation between a mount (with all below it) and its peers.
pub fn make_private_fd(mount: impl AsFd) -> Result<()> {
    let attr = MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() };
    mount_setattr(mount.as_fd(), attr, true).at("mount_setattr", "")
}

/// Stops all propagation between every mount of this namespace and its peers.
pub fn make_all_private() -> Result<()> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).at("make private", "/")
}

/// Mounts from other namespaces still arrive in this one, none of ours leave it.
pub fn make_all_downstream() -> Result<()> {
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).at("make slave", "/")
}

/// Takes the mount at a path out of the tree, at once; it ends when its last user does.
pub fn unmount_detach(path: &Path) -> Result<()> {
    rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).at("unmount", path)
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

fn mount_setattr(mount: BorrowedFd<'_>, attr: MountAttr, recursive: bool) -> std::io::Result<()> {
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is a constant C string, `attr` is a mount_attr of exactly the given size; the kernel only reads
    // both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(&attr),
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// A name for use in options of filesystems that take a path: goes through `/proc`, so it is short and needs no
/// escaping.
pub(crate) fn option_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Mounts in the classic way, on a trusted path.
pub(crate) fn mount_classic(kind: &str, target: &Path, data: &str) -> Result<()> {
    let data = std::ffi::CString::new(data).at("mount", target)?;
    rustix::mount::mount(
        OsStr::new(kind),
        target,
        kind,
        rustix::mount::MountFlags::empty(),
        Some(data.as_c_str()),
    )
    .at("mount", target)
}
