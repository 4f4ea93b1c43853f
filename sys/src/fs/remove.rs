//! Removing whole trees by descriptor. Never follows a link and never leaves the tree.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{FileKind, open_dir, read_dir};
use crate::error::Context as _;
use crate::{Error, Result};

/// Removes `name` in `dir` and all below it; fine when it is not there. Directories without permission bits are given
/// them first. Depth costs one descriptor and one stack frame a level.
pub fn remove_tree_at(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<()> {
    let (dir, name) = (dir.as_fd(), name.as_ref());
    if !super::open::is_name(name) {
        return Err(Error::at("remove", name, Errno::INVAL));
    }
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => remove_dir(dir, name),
        Err(e) => Err(Error::at("remove", name, e)),
    }
}

/// Removes the tree at a path whose parent is trusted; fine when it is not there.
pub fn remove_tree(path: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::at("remove", path, Errno::INVAL));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    match open_dir(parent) {
        Ok(parent) => remove_tree_at(parent, name),
        Err(e) if e.is_not_found() => Ok(()),
        Err(e) => Err(e),
    }
}

fn remove_dir(dir: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => {}
        Err(e) => return Err(Error::at("remove directory", name, e)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let child = match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            super::chmod_at(dir, name, 0o700)?;
            rustix::fs::openat(dir, name, flags, Mode::empty()).at("open directory", name)?
        }
        other => other.at("open directory", name)?,
    };
    let mut entries = read_dir(&child);
    if entries.as_ref().is_err_and(Error::is_denied) {
        super::chmod_at(dir, name, 0o700)?;
        entries = read_dir(&child);
    }
    let mut opened_up = false;
    for entry in entries? {
        loop {
            let result = if entry.kind == FileKind::Dir {
                remove_dir(child.as_fd(), &entry.name)
            } else {
                remove_tree_at(&child, &entry.name)
            };
            match result {
                // No write or search permission on this directory: give it to ourselves, once.
                Err(e) if e.errno() == libc::EACCES && !opened_up => {
                    opened_up = true;
                    super::chmod_at(dir, name, 0o700)?;
                }
                other => break other?,
            }
        }
    }
    rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR).at("remove directory", name)
}
