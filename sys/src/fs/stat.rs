//! What a file is: kinds and attributes.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode, StatxFlags};

use crate::error::Context as _;
use crate::{Error, Result};

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    /// Regular file.
    File,
    /// Directory.
    Dir,
    /// Symbolic link.
    Symlink,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
    /// Named pipe.
    Fifo,
    /// Unix socket.
    Socket,
}

impl FileKind {
    /// The kind in the type bits of a mode; `None` for bits that Linux does not have.
    pub fn from_raw_mode(mode: u32) -> Option<Self> {
        Self::from_file_type(FileType::from_raw_mode(mode))
    }

    pub(crate) fn from_file_type(kind: FileType) -> Option<Self> {
        Some(match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Dir,
            FileType::Symlink => Self::Symlink,
            FileType::CharacterDevice => Self::CharDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::Unknown => return None,
        })
    }
}

/// Attributes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits with setuid, setgid and sticky (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content: seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
    /// Last change of content or attributes: seconds and nanoseconds since 1970.
    pub ctime: (i64, u32),
    /// Device number of the filesystem, as `major << 32 | minor`.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Number of hard links.
    pub nlink: u32,
    /// Major number, of a device node.
    pub rdev_major: u32,
    /// Minor number, of a device node.
    pub rdev_minor: u32,
    /// Space in use, in units of 512 bytes.
    pub blocks: u64,
}

impl Stat {
    /// True for a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileKind::Dir
    }

    /// True for a regular file.
    pub fn is_file(&self) -> bool {
        self.kind == FileKind::File
    }

    /// True for a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.kind == FileKind::Symlink
    }
}

fn statx(dir: BorrowedFd<'_>, name: &OsStr, flags: AtFlags) -> Result<Stat> {
    let raw = rustix::fs::statx(dir, name, flags | AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)
        .at("stat", name)?;
    let mode = u32::from(raw.stx_mode);
    let kind = FileKind::from_raw_mode(mode)
        .ok_or_else(|| Error::at("stat", name, std::io::Error::other("unknown kind of file")))?;
    Ok(Stat {
        kind,
        mode: mode & 0o7777,
        uid: raw.stx_uid,
        gid: raw.stx_gid,
        size: raw.stx_size,
        mtime: (raw.stx_mtime.tv_sec, raw.stx_mtime.tv_nsec),
        ctime: (raw.stx_ctime.tv_sec, raw.stx_ctime.tv_nsec),
        dev: u64::from(raw.stx_dev_major) << 32 | u64::from(raw.stx_dev_minor),
        ino: raw.stx_ino,
        nlink: raw.stx_nlink,
        rdev_major: raw.stx_rdev_major,
        rdev_minor: raw.stx_rdev_minor,
        blocks: raw.stx_blocks,
    })
}

/// Attributes of `name` in `dir`, without following a link.
pub fn stat_at(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<Stat> {
    statx(dir.as_fd(), name.as_ref(), AtFlags::empty())
}

/// Attributes of an open file (also one opened with `O_PATH`).
pub fn fstat(fd: impl AsFd) -> Result<Stat> {
    statx(fd.as_fd(), OsStr::new(""), AtFlags::EMPTY_PATH)
}

/// Space of a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatFs {
    /// Magic number of the filesystem's type.
    pub magic: u64,
    /// Size in bytes.
    pub total_bytes: u64,
    /// Bytes that an unprivileged user may still write.
    pub available_bytes: u64,
    /// Inodes still free.
    pub free_inodes: u64,
}

/// The filesystem on which an open file lies.
pub fn statfs(fd: impl AsFd) -> Result<StatFs> {
    let raw = rustix::fs::fstatfs(fd).at("statfs", "")?;
    let unit = u64::try_from(raw.f_frsize).unwrap_or(0).max(1);
    #[allow(clippy::useless_conversion, reason = "the width differs by architecture")]
    Ok(StatFs {
        magic: u64::try_from(raw.f_type).unwrap_or(0),
        total_bytes: u64::from(raw.f_blocks).saturating_mul(unit),
        available_bytes: u64::from(raw.f_bavail).saturating_mul(unit),
        free_inodes: u64::from(raw.f_ffree),
    })
}

/// Sets the umask of the whole process and returns the old one.
pub fn umask(mask: u32) -> u32 {
    rustix::process::umask(Mode::from_raw_mode(mask)).as_raw_mode()
}
