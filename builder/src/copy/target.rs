//! The destination side: resolving it in the image as if chrooted, and making missing directories.

use std::ffi::OsString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use cooper_frontend::gopath;
use cooper_snapshotter::give_at;
use cooper_sys::fs::{self, FileKind, OFlags, Timestamp};

use super::CopyError;
use super::error::{Doing as _, rooted};
use super::resolve::{join, locate};

/// A root filesystem that is written to.
pub(crate) struct Target<'t> {
    pub root: BorrowedFd<'t>,
    /// Mode of directories made on the way.
    pub parent_mode: u32,
    /// `--chown`; new directories belong to root without it.
    pub owner: Option<(u32, u32)>,
    /// Fixed time of directories made on the way.
    pub parent_time: Option<Timestamp>,
    /// Directories made on the way, outermost first.
    pub made: Vec<Vec<OsString>>,
}

/// Where a destination path leads: without links, as far as it exists.
pub(crate) struct Place {
    pub parts: Vec<OsString>,
    /// What is there.
    pub kind: Option<FileKind>,
}

impl Target<'_> {
    /// Follows links, also a last one, also one into nothing.
    pub fn locate(&self, path: &[u8]) -> Result<Place, CopyError> {
        let located = locate(self.root, path, true, &|_, _| true)?;
        let kind = located.stat.map(|stat| stat.kind);
        Ok(Place { parts: located.parts, kind })
    }

    /// The directory at a path without links; it and its parents are made where missing.
    pub fn make_dirs(&mut self, parts: &[OsString]) -> Result<OwnedFd, CopyError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let mut dir = fs::open_at(self.root, ".", flags).doing("open", b"/")?;
        for (at, name) in parts.iter().enumerate() {
            let path = || join(&parts[..=at]);
            dir = match fs::open_at(&dir, name, flags) {
                Ok(next) => next,
                Err(e) if e.is_not_found() => {
                    fs::mkdir_at(&dir, name, self.parent_mode).doing("make the directory", path())?;
                    let next = fs::open_at(&dir, name, flags).doing("open", path())?;
                    if let Some((uid, gid)) = self.owner {
                        give_at(dir.as_fd(), name, uid, gid).doing("change the owner of", path())?;
                    }
                    // Whatever the umask and the parent's setgid bit made of it.
                    fs::chmod_at(&dir, name, self.parent_mode).doing("change the mode of", path())?;
                    self.made.push(parts[..=at].to_vec());
                    next
                }
                Err(e) if matches!(e.errno(), ENOTDIR | ELOOP) => {
                    return Err(CopyError::NotADirectory { path: rooted(&path()) });
                }
                Err(e) => return Err(e).doing("open", path()),
            };
        }
        Ok(dir)
    }

    /// Gives the directories made on the way their fixed time, now that nothing more is written into them.
    pub fn finish(&mut self) -> Result<(), CopyError> {
        let Some(time) = self.parent_time else { return Ok(()) };
        for parts in self.made.drain(..).rev() {
            let dir = fs::resolve_in_root(
                self.root,
                std::ffi::OsStr::from_bytes(&join(&parts)),
                OFlags::DIRECTORY | OFlags::NOFOLLOW,
            )
            .doing("open", join(&parts))?;
            fs::utimens_at(dir.as_fd(), ".", time).doing("set the time of", join(&parts))?;
        }
        Ok(())
    }
}

const ENOTDIR: i32 = 20;
const ELOOP: i32 = 40;

/// A destination with dots resolved by name; a trailing slash or `/.` stays, for it says that it is a directory.
pub(crate) fn clean_dest(dest: &str) -> String {
    let mut clean = gopath::clean_str(&format!("/{dest}"));
    let is_dir = dest.is_empty() || dest.ends_with('/') || dest.ends_with("/.") || dest == ".";
    if is_dir && clean != "/" {
        clean.push('/');
    }
    clean
}

/// Splits a clean destination: the part that must be a directory before anything is copied. That is all of it
/// when it ends in a slash, otherwise all but its last name.
pub(crate) fn directory_part(dest: &str) -> &str {
    match dest.rsplit_once('/') {
        Some((above, last)) if !last.is_empty() => above,
        _ => dest,
    }
}
