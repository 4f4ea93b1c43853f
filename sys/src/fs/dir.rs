//! Reading directories.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{Dir, Mode, OFlags};

use super::{FileKind, stat_at};
use crate::Result;
use crate::error::Context as _;

/// One name of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name: bytes, without any slash.
    pub name: OsString,
    /// What the name is; a link is itself.
    pub kind: FileKind,
}

/// All entries but `.` and `..`, in the order of the filesystem. Works on `O_PATH` descriptors too, and does not move
/// the position of `dir`.
pub fn read_dir(dir: impl AsFd) -> Result<Vec<DirEntry>> {
    let dir = dir.as_fd();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let own = rustix::fs::openat(dir, ".", flags, Mode::empty()).at("read directory", ".")?;
    let mut entries = Vec::new();
    for entry in Dir::new(own).at("read directory", ".")? {
        let entry = entry.at("read directory", ".")?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let name = OsStr::from_bytes(name);
        let kind = match FileKind::from_file_type(entry.file_type()) {
            Some(kind) => kind,
            None => match stat_at(dir, name) {
                Ok(stat) => stat.kind,
                Err(e) if e.is_not_found() => continue,
                Err(e) => return Err(e),
            },
        };
        entries.push(DirEntry { name: name.to_owned(), kind });
    }
    Ok(entries)
}

/// As [`read_dir`], sorted by the bytes of the name.
pub fn read_dir_sorted(dir: impl AsFd) -> Result<Vec<DirEntry>> {
    let mut entries = read_dir(dir)?;
    entries.sort_unstable_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    Ok(entries)
}
