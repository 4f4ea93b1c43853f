//! Operations on one name in an open directory. None of them follows a link in that name.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::open::is_name;
use super::{FileKind, stat_at};
use crate::error::Context as _;
use crate::{Error, Result};

/// A point in time: seconds and nanoseconds since 1970.
pub type Timestamp = (i64, u32);

fn name_of<'a, N: AsRef<OsStr> + ?Sized>(op: &'static str, name: &'a N) -> Result<&'a OsStr> {
    let name = name.as_ref();
    if is_name(name) { Ok(name) } else { Err(Error::at(op, name, Errno::INVAL)) }
}

/// Opens `name` in `dir`; `NOFOLLOW`, `CLOEXEC`, and `NONBLOCK` (unless `PATH`) are added. `"."` is allowed.
pub fn open_at(dir: impl AsFd, name: impl AsRef<OsStr>, flags: OFlags) -> Result<OwnedFd> {
    let name = name.as_ref();
    if name != "." {
        name_of("open", name)?;
    }
    let extra = if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NONBLOCK };
    rustix::fs::openat(dir, name, flags | extra | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .at("open", name)
}

/// Makes a new regular file, open for reading and writing; fails when the name is taken. `mode` is subject to the
/// umask.
pub fn create_file_at(dir: impl AsFd, name: impl AsRef<OsStr>, mode: u32) -> Result<OwnedFd> {
    let name = name_of("create file", &name)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(mode)).at("create file", name)
}

/// Makes a directory; `mode` is subject to the umask.
pub fn mkdir_at(dir: impl AsFd, name: impl AsRef<OsStr>, mode: u32) -> Result<()> {
    let name = name_of("make directory", &name)?;
    rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(mode)).at("make directory", name)
}

/// Makes a symbolic link with the given target.
pub fn symlink_at(target: impl AsRef<OsStr>, dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<()> {
    let name = name_of("make link", &name)?;
    rustix::fs::symlinkat(target.as_ref(), dir, name).at("make link", name)
}

/// Makes a hard link to `from_name`, itself even if it is a symbolic link.
pub fn link_at(
    from: impl AsFd,
    from_name: impl AsRef<OsStr>,
    dir: impl AsFd,
    name: impl AsRef<OsStr>,
) -> Result<()> {
    let (from_name, name) = (name_of("hard link", &from_name)?, name_of("hard link", &name)?);
    rustix::fs::linkat(from, from_name, dir, name, AtFlags::empty()).at("hard link", name)
}

/// Makes a hard link to an open file (also `O_PATH`).
pub fn link_fd_at(file: impl AsFd, dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<()> {
    let name = name_of("hard link", &name)?;
    let from = proc_fd_path(file.as_fd());
    rustix::fs::linkat(rustix::fs::CWD, from, dir, name, AtFlags::SYMLINK_FOLLOW).at("hard link", name)
}

/// Makes a device node, a FIFO, a socket or an empty file; `mode` is subject to the umask.
pub fn mknod_at(
    dir: impl AsFd,
    name: impl AsRef<OsStr>,
    kind: FileKind,
    mode: u32,
    major: u32,
    minor: u32,
) -> Result<()> {
    let name = name_of("mknod", &name)?;
    let file_type = match kind {
        FileKind::File => FileType::RegularFile,
        FileKind::CharDevice => FileType::CharacterDevice,
        FileKind::BlockDevice => FileType::BlockDevice,
        FileKind::Fifo => FileType::Fifo,
        FileKind::Socket => FileType::Socket,
        FileKind::Dir | FileKind::Symlink => return Err(Error::at("mknod", name, Errno::INVAL)),
    };
    rustix::fs::mknodat(dir, name, file_type, Mode::from_raw_mode(mode), rustix::fs::makedev(major, minor))
        .at("mknod", name)
}

/// Makes a FIFO; `mode` is subject to the umask.
pub fn mkfifo_at(dir: impl AsFd, name: impl AsRef<OsStr>, mode: u32) -> Result<()> {
    mknod_at(dir, name, FileKind::Fifo, mode, 0, 0)
}

/// The target of a symbolic link.
pub fn readlink_at(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<OsString> {
    let name = name_of("read link", &name)?;
    let target = rustix::fs::readlinkat(dir, name, Vec::new()).at("read link", name)?;
    Ok(OsString::from_vec(target.into_bytes()))
}

/// The target of a symbolic link that was opened with `PATH | NOFOLLOW`.
pub fn readlink_fd(link: impl AsFd) -> Result<OsString> {
    let target = rustix::fs::readlinkat(link, "", Vec::new()).at("read link", "")?;
    Ok(OsString::from_vec(target.into_bytes()))
}

/// Removes a name that is no directory.
pub fn unlink_at(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<()> {
    let name = name_of("remove", &name)?;
    rustix::fs::unlinkat(dir, name, AtFlags::empty()).at("remove", name)
}

/// Removes an empty directory.
pub fn rmdir_at(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<()> {
    let name = name_of("remove directory", &name)?;
    rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR).at("remove directory", name)
}

/// Renames; what lies at the new name is replaced.
pub fn rename_at(
    from: impl AsFd,
    from_name: impl AsRef<OsStr>,
    to: impl AsFd,
    name: impl AsRef<OsStr>,
) -> Result<()> {
    let (from_name, name) = (name_of("rename", &from_name)?, name_of("rename", &name)?);
    rustix::fs::renameat(from, from_name, to, name).at("rename", name)
}

/// Renames; fails (EEXIST) when the new name is taken.
pub fn rename_noreplace_at(
    from: impl AsFd,
    from_name: impl AsRef<OsStr>,
    to: impl AsFd,
    name: impl AsRef<OsStr>,
) -> Result<()> {
    let (from_name, name) = (name_of("rename", &from_name)?, name_of("rename", &name)?);
    rustix::fs::renameat_with(from, from_name, to, name, RenameFlags::NOREPLACE).at("rename", name)
}

/// Sets owner and group. The kernel clears setuid and setgid bits and file capabilities: set those after.
pub fn chown_at(dir: impl AsFd, name: impl AsRef<OsStr>, uid: u32, gid: u32) -> Result<()> {
    let name = name_of("chown", &name)?;
    rustix::fs::chownat(
        dir,
        name,
        Some(Uid::from_raw(uid)),
        Some(Gid::from_raw(gid)),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .at("chown", name)
}

/// Sets owner and group of an open file (also `O_PATH`).
pub fn chown_fd(file: impl AsFd, uid: u32, gid: u32) -> Result<()> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(file, "", Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags).at("chown", "")
}

/// Sets the permission bits (07777). Fails with `EOPNOTSUPP` on a symbolic link, which has none.
pub fn chmod_at(dir: impl AsFd, name: impl AsRef<OsStr>, mode: u32) -> Result<()> {
    let dir = dir.as_fd();
    let name = name_of("chmod", &name)?;
    match fchmodat2(dir, name, mode) {
        Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => {}
        other => return other.at("chmod", name),
    }
    // Before Linux 6.6: hold the file, so that no link can come in between, and go through its descriptor.
    if stat_at(dir, name)?.is_symlink() {
        return Err(Error::at("chmod", name, Errno::OPNOTSUPP));
    }
    let file = open_at(dir, name, OFlags::PATH)?;
    chmod_fd(&file, mode)
}

/// Sets the permission bits (07777) of an open file (also `O_PATH`).
pub fn chmod_fd(file: impl AsFd, mode: u32) -> Result<()> {
    let file = file.as_fd();
    if super::fstat(file)?.is_symlink() {
        return Err(Error::at("chmod", "", Errno::OPNOTSUPP));
    }
    rustix::fs::chmod(proc_fd_path(file), Mode::from_raw_mode(mode)).at("chmod", "")
}

/// Sets mtime, and atime to the same.
pub fn utimens_at(dir: impl AsFd, name: impl AsRef<OsStr>, mtime: Timestamp) -> Result<()> {
    let name = name.as_ref();
    if name != "." {
        name_of("set times", name)?;
    }
    let time = Timespec { tv_sec: mtime.0, tv_nsec: mtime.1.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW).at("set times", name)
}

/// Sets mtime, and atime to the same, of a file that is open for reading or writing.
pub fn utimens_fd(file: impl AsFd, mtime: Timestamp) -> Result<()> {
    let time = Timespec { tv_sec: mtime.0, tv_nsec: mtime.1.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::futimens(file, &times).at("set times", "")
}

/// The path under `/proc` that leads to an open file, for calls that have no form with a descriptor.
pub fn proc_fd_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// The path under `/proc` of one name in an open directory.
pub(crate) fn proc_path(dir: BorrowedFd<'_>, name: &OsStr) -> PathBuf {
    proc_fd_path(dir).join(Path::new(name))
}

fn fchmodat2(dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> std::io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let name = std::ffi::CString::new(name.as_bytes())?;
    // The number is the same on every architecture that Cooper knows.
    const SYS_FCHMODAT2: libc::c_long = 452;
    // SAFETY: `name` is a valid C string that outlives the call; the kernel reads only it.
    let result = unsafe {
        libc::syscall(SYS_FCHMODAT2, dir.as_raw_fd(), name.as_ptr(), mode & 0o7777, libc::AT_SYMLINK_NOFOLLOW)
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
