//! Giving a file the attributes that an entry has, in the one order that works.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;

use cooper_sys::fs;

use crate::error::Result;
use crate::scan::Found;
use crate::tree::{TreeEntry, TreeKind};
use crate::xattrs;

/// Attributes of one file.
#[derive(Debug, Clone)]
pub(crate) struct Attributes {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// `None` for symbolic links, which have no mode.
    pub(crate) mode: Option<u32>,
    pub(crate) mtime: (i64, u32),
    pub(crate) xattrs: xattrs::Attributes,
}

impl Attributes {
    pub(crate) fn of(entry: &TreeEntry) -> Self {
        Self {
            uid: entry.uid,
            gid: entry.gid,
            mode: (entry.kind != TreeKind::Symlink).then_some(entry.mode),
            mtime: entry.mtime,
            xattrs: entry.xattrs.clone(),
        }
    }

    pub(crate) fn of_found(found: &Found<'_>) -> Self {
        Self::of(&found.entry)
    }

    /// Sets owner, then mode (chown clears set-ID bits), then attributes (chown clears capabilities), then times.
    pub(crate) fn apply(&self, dir: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
        use std::os::unix::ffi::OsStrExt;
        xattrs::give_at(dir, name, self.uid, self.gid)?;
        if let Some(mode) = self.mode {
            fs::chmod_at(dir, name, mode)?;
        }
        for (key, value) in &self.xattrs {
            fs::set_xattr_at(dir, name, OsStr::from_bytes(key), value)?;
        }
        fs::utimens_at(dir, name, self.mtime)?;
        Ok(())
    }
}
