//! Extended attributes, on files of every kind, never following a link.
//!
//! The kernel has no `*at` form in the versions that Cooper supports, and refuses `O_PATH` descriptors; both are reached
//! through `/proc/self/fd`.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

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
    let path = path_at("list xattrs", dir.as_fd(), name.as_ref())?;
    let names = grow(|buffer| rustix::fs::llistxattr(&path, buffer));
    collect(name.as_ref(), names, |key| {
        grow(|buffer| rustix::fs::lgetxattr(&path, OsStr::from_bytes(key), buffer))
    })
}

/// All extended attributes of an open file (also `O_PATH`), sorted by name.
pub fn list_xattrs_fd(file: impl AsFd) -> Result<Xattrs> {
    let path = proc_fd_path(file.as_fd());
    let names = grow(|buffer| rustix::fs::listxattr(&path, buffer));
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
