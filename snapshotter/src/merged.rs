//! Looking things up in stacked directories as an overlay mount of them would, without mounting anything.
//!
//! For a few names this is far cheaper than a mount, whose end alone costs two grace periods of the kernel. Knows
//! whiteouts and opaque directories; redirects do not occur, as every overlay is mounted with `userxattr`.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use cooper_sys::fs::{self, OFlags, Stat};
use cooper_sys::overlay;

use crate::error::Result;
use crate::xattrs;

/// A directory that is the merger of several, topmost first. None is an empty one.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    dirs: Vec<OwnedFd>,
    /// Whether the first holds mount points that are in no layer.
    stubs: bool,
}

/// A name that was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a> {
    /// The directory whose entry is seen.
    pub(crate) dir: BorrowedFd<'a>,
    pub(crate) stat: Stat,
}

impl Merged {
    /// A stack of directories of the store.
    pub(crate) fn open<'a>(
        stubs: Option<&'a Path>,
        layers: impl IntoIterator<Item = &'a Path>,
    ) -> Result<Self> {
        let dirs = stubs.into_iter().chain(layers).map(fs::open_path).collect::<cooper_sys::Result<_>>()?;
        Ok(Self { dirs, stubs: stubs.is_some() })
    }

    /// One directory that is merged already.
    pub(crate) fn single(dir: OwnedFd) -> Self {
        Self { dirs: vec![dir], stubs: false }
    }

    /// Whether nothing is merged.
    pub(crate) fn is_empty(&self) -> bool {
        self.dirs.is_empty()
    }

    /// Whether mount points may be in it that are in no layer.
    pub(crate) fn has_stubs(&self) -> bool {
        self.stubs
    }

    /// What a name stands for; `None` if there is nothing.
    pub(crate) fn find(&self, name: &OsStr) -> Result<Option<Name<'_>>> {
        find(&self.dirs, name)
    }

    /// The same without the mount points.
    pub(crate) fn find_in_layers(&self, name: &OsStr) -> Result<Option<Name<'_>>> {
        find(&self.dirs[usize::from(self.stubs)..], name)
    }

    /// The directory of this name; empty if it is none.
    pub(crate) fn enter(&self, name: &OsStr) -> Result<Self> {
        let mut below = Self { dirs: Vec::new(), stubs: false };
        for (index, dir) in self.dirs.iter().enumerate() {
            let Some(stat) = stat(dir, name)? else { continue };
            if !stat.is_dir() {
                break;
            }
            below.stubs |= self.stubs && index == 0;
            below.dirs.push(fs::open_at(dir, name, OFlags::PATH | OFlags::DIRECTORY)?);
            if xattrs::is_opaque(dir.as_fd(), name)? {
                break;
            }
        }
        Ok(below)
    }
}

fn find<'a>(dirs: &'a [OwnedFd], name: &OsStr) -> Result<Option<Name<'a>>> {
    for dir in dirs {
        if let Some(stat) = stat(dir, name)? {
            return Ok((!overlay::is_whiteout(&stat)).then_some(Name { dir: dir.as_fd(), stat }));
        }
    }
    Ok(None)
}

fn stat(dir: &OwnedFd, name: &OsStr) -> Result<Option<Stat>> {
    match fs::stat_at(dir, name) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
