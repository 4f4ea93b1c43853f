//! Extended attributes, on files of every kind, never following a link.
//!
//! Linux 6.13 has calls that take a directory and a name. Before it, and for what they do not cover, names and `O_PATH`
//! descriptors are reached through `/proc/self/fd`, which costs a path walk through three more directories.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::at::{proc_fd_path, proc_path};
use super::open::is_name;
use crate::error::Context as _;
use crate::{Error, Result};

/// Names and values of extended attributes.
type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// All extended attributes of `name` in `dir`, sorted by name. Filesystems without any give none.
pub fn list_xattrs_at(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<Xattrs> {
    let path = || path_at("list xattrs", dir.as_fd(), name.as_ref());
    let names = match names_at(dir.as_fd(), name.as_ref()) {
        Some(names) => names,
        None => path().map(|path| grow(|buffer| rustix::fs::llistxattr(&path, buffer)))?,
    };
    if names.as_ref().is_ok_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let path = path()?;
    collect(name.as_ref(), names, |key| {
        grow(|buffer| rustix::fs::lgetxattr(&path, OsStr::from_bytes(key), buffer))
    })
}

/// All extended attributes of an open file (also `O_PATH`), sorted by name.
pub fn list_xattrs_fd(file: impl AsFd) -> Result<Xattrs> {
    let path = proc_fd_path(file.as_fd());
    let names = match names_at(file.as_fd(), OsStr::new("")) {
        Some(names) => names,
        None => grow(|buffer| rustix::fs::listxattr(&path, buffer)),
    };
    collect(OsStr::new(""), names, |key| {
        grow(|buffer| rustix::fs::getxattr(&path, OsStr::from_bytes(key), buffer))
    })
}

/// One extended attribute of `name` in `dir`; `None` when it has none of that name.
pub fn get_xattr_at(
    dir: impl AsFd,
    name: impl AsRef<OsStr>,
    key: impl AsRef<OsStr>,
) -> Result<Option<Vec<u8>>> {
    let path = path_at("get xattr", dir.as_fd(), name.as_ref())?;
    optional(name.as_ref(), grow(|buffer| rustix::fs::lgetxattr(&path, key.as_ref(), buffer)))
}

/// One extended attribute of an open file (also `O_PATH`); `None` when it has none of that name.
pub fn get_xattr_fd(file: impl AsFd, key: impl AsRef<OsStr>) -> Result<Option<Vec<u8>>> {
    let path = proc_fd_path(file.as_fd());
    optional(OsStr::new(""), grow(|buffer| rustix::fs::getxattr(&path, key.as_ref(), buffer)))
}

/// Sets one extended attribute of `name` in `dir`, whether it is there or not.
pub fn set_xattr_at(
    dir: impl AsFd,
    name: impl AsRef<OsStr>,
    key: impl AsRef<OsStr>,
    value: &[u8],
) -> Result<()> {
    let path = path_at("set xattr", dir.as_fd(), name.as_ref())?;
    rustix::fs::lsetxattr(path, key.as_ref(), value, XattrFlags::empty()).at("set xattr", name.as_ref())
}

/// Sets one extended attribute of an open file (also `O_PATH`).
pub fn set_xattr_fd(file: impl AsFd, key: impl AsRef<OsStr>, value: &[u8]) -> Result<()> {
    let path = proc_fd_path(file.as_fd());
    rustix::fs::setxattr(path, key.as_ref(), value, XattrFlags::empty()).at("set xattr", key.as_ref())
}

/// Removes one extended attribute of `name` in `dir`; fine when it is not there.
pub fn remove_xattr_at(dir: impl AsFd, name: impl AsRef<OsStr>, key: impl AsRef<OsStr>) -> Result<()> {
    let path = path_at("remove xattr", dir.as_fd(), name.as_ref())?;
    match rustix::fs::lremovexattr(path, key.as_ref()) {
        Ok(()) | Err(Errno::NODATA) => Ok(()),
        Err(e) => Err(Error::at("remove xattr", name.as_ref(), e)),
    }
}

/// Names of the attributes of `name` in `dir`, or of `dir` itself if `name` is empty, by `listxattrat`; `None` if the
/// kernel does not have it or will not let us.
fn names_at(dir: BorrowedFd<'_>, name: &OsStr) -> Option<rustix::io::Result<Vec<u8>>> {
    static MISSING: AtomicBool = AtomicBool::new(false);
    // The number is the same on every architecture that Cooper knows.
    const SYS_LISTXATTRAT: libc::c_long = 465;
    let plain = name.is_empty() || name == "." || is_name(name);
    if !plain || MISSING.load(Ordering::Relaxed) {
        return None;
    }
    let name = CString::new(name.as_bytes()).ok()?;
    let flags = libc::AT_SYMLINK_NOFOLLOW | if name.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    let names = grow(|buffer| {
        // SAFETY: `name` is a valid C string and `buffer` a writable buffer of the length given; both outlive the call.
        let result = unsafe {
            libc::syscall(
                SYS_LISTXATTRAT,
                dir.as_raw_fd(),
                name.as_ptr(),
                flags,
                buffer.as_mut_ptr(),
                buffer.len(),
            )
        };
        usize::try_from(result).map_err(|_| {
            let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
            Errno::from_raw_os_error(errno)
        })
    });
    match names {
        Err(Errno::NOSYS | Errno::PERM) => {
            MISSING.store(true, Ordering::Relaxed);
            None
        }
        // An `O_PATH` descriptor is not enough for the call without a name.
        Err(Errno::BADF) if name.is_empty() => None,
        names => Some(names),
    }
}

fn path_at(op: &'static str, dir: BorrowedFd<'_>, name: &OsStr) -> Result<std::path::PathBuf> {
    if name == "." {
        Ok(proc_fd_path(dir).join("."))
    } else if is_name(name) {
        Ok(proc_path(dir, name))
    } else {
        Err(Error::at(op, Path::new(name), Errno::INVAL))
    }
}

/// Calls with a growing buffer until the answer fits.
fn grow(call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    // The kernel's own limit of a value and of a list is 64 KiB.
    let mut buffer = vec![0; 256];
    loop {
        match call(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 16, 0),
            Err(e) => return Err(e),
        }
    }
}

fn optional(name: &OsStr, value: rustix::io::Result<Vec<u8>>) -> Result<Option<Vec<u8>>> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(e) => Err(Error::at("get xattr", name, e)),
    }
}

fn collect(
    name: &OsStr,
    names: rustix::io::Result<Vec<u8>>,
    get: impl Fn(&[u8]) -> rustix::io::Result<Vec<u8>>,
) -> Result<Xattrs> {
    let names = match names {
        Ok(names) => names,
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(e) => return Err(Error::at("list xattrs", name, e)),
    };
    let mut all = Vec::new();
    for key in names.split(|byte| *byte == 0).filter(|key| !key.is_empty()) {
        match get(key) {
            Ok(value) => all.push((key.to_vec(), value)),
            // Gone since the list was read, or one that the kernel lists but hides.
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(e) => return Err(Error::at("get xattr", name, e)),
        }
    }
    all.sort_unstable();
    Ok(all)
}
