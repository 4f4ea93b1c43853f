//! Resolving a path below a root as if chrooted, one name at a time, so that the path without links is known: filters
//! and missing directories need it.
//!
//! Never leaves the root: each step opens one name without following it, `..` goes back along the steps taken.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use cooper_sys::fs::{self, OFlags, Stat};

use super::CopyError;
use super::error::{Doing as _, rooted};

/// Links followed in one path, as the kernel does it.
const MAX_LINKS: u32 = 40;

/// Where a path leads.
pub(crate) struct Located {
    /// The path below the root, without links and dots. The last ones need not exist.
    pub parts: Vec<OsString>,
    /// Attributes, if it exists.
    pub stat: Option<Stat>,
}

impl Located {
    /// The path as bytes, without a leading slash; empty for the root.
    pub fn path(&self) -> Vec<u8> {
        join(&self.parts)
    }
}

/// Parts joined by slashes.
pub(crate) fn join(parts: &[OsString]) -> Vec<u8> {
    parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>().join(&b'/')
}

/// Names of a path; empty ones and dots are dropped, `..` is kept.
pub(crate) fn split(path: &[u8]) -> impl DoubleEndedIterator<Item = &OsStr> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").map(OsStr::from_bytes)
}

/// Follows `path` below `root`. What `visible` refuses (asked with the path without links) does not exist. With
/// `follow_last` false, a link in the last place is the answer itself.
pub(crate) fn locate(
    root: BorrowedFd<'_>,
    path: &[u8],
    follow_last: bool,
    visible: &dyn Fn(&[u8], &Stat) -> bool,
) -> Result<Located, CopyError> {
    let mut todo: VecDeque<OsString> = split(path).map(OsStr::to_owned).collect();
    let mut parts: Vec<OsString> = Vec::new();
    let mut dirs: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    let mut stat = None;
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            dirs.pop();
            parts.pop();
            continue;
        }
        let dir = dirs.last().map_or(root, AsFd::as_fd);
        parts.push(name);
        let name = parts.last().map_or(OsStr::new("."), OsString::as_os_str);
        let physical = join(&parts);
        let found = match fs::stat_at(dir, name) {
            Err(e) if e.is_not_found() => None,
            other => Some(other.doing("stat", &physical)?).filter(|stat| visible(&physical, stat)),
        };
        let Some(found) = found else {
            for rest in todo {
                if rest == ".." {
                    parts.pop();
                } else {
                    parts.push(rest);
                }
            }
            return Ok(Located { parts, stat: None });
        };
        if found.is_symlink() && (follow_last || !todo.is_empty()) {
            links += 1;
            if links > MAX_LINKS {
                return Err(CopyError::LinkLoop { path: rooted(path) });
            }
            let target = fs::readlink_at(dir, name).doing("read the link", &physical)?.into_vec();
            parts.pop();
            if target.starts_with(b"/") {
                parts.clear();
                dirs.clear();
            }
            for part in split(&target).rev() {
                todo.push_front(part.to_owned());
            }
            continue;
        }
        if found.is_dir() {
            let next = fs::open_at(dir, name, OFlags::PATH | OFlags::DIRECTORY).doing("open", &physical)?;
            dirs.push(next);
        } else if !todo.is_empty() {
            return Err(CopyError::NotADirectory { path: rooted(&physical) });
        }
        stat = Some(found);
    }
    // The walk may have ended with "..", or never begun: the directory reached is what counts.
    if dirs.len() == parts.len() {
        let dir = dirs.last().map_or(root, AsFd::as_fd);
        stat = Some(fs::fstat(dir).doing("stat", join(&parts))?);
    }
    Ok(Located { parts, stat })
}
