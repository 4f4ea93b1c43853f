//! What a COPY makes of a source's owner, mode, attributes and time. Shared by all threads that write.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use cooper_frontend::graph::SourceKind;
use cooper_snapshotter::{OWNER_NOTE, give_at};
use cooper_sys::fs::{self, Stat, Timestamp};

use super::CopyError;
use super::chmod::ModeChange;
use super::error::{Doing as _, rooted};
use super::xattrs::Xattr;

/// The rules of one COPY.
pub(super) struct Dress<'o> {
    /// `--chmod`.
    pub mode: Option<ModeChange>,
    /// `--chown`.
    pub owner: Option<(u32, u32)>,
    /// Time of everything that is copied; `None` keeps the source's.
    pub file_time: Option<Timestamp>,
    /// Owners and extended attributes of the source count.
    pub keeps_owner: bool,
    pub kind: SourceKind,
    /// Asked between files; true ends the copy.
    pub cancelled: Option<&'o (dyn Fn() -> bool + Sync)>,
    /// Extended attributes that the target would not take.
    pub lost_xattrs: AtomicU64,
}

impl Dress<'_> {
    /// The owner of what is made from a source.
    pub fn owner_of(&self, stat: &Stat) -> (u32, u32) {
        let own = if self.keeps_owner { (stat.uid, stat.gid) } else { (0, 0) };
        self.owner.unwrap_or(own)
    }

    /// The mode (07777) of what is made from a source that is no link.
    pub fn mode_of(&self, stat: &Stat) -> u32 {
        let old = if matches!(self.kind, SourceKind::Http { .. }) { 0o600 } else { stat.mode };
        self.mode.as_ref().map_or(old, |change| change.apply(old, stat.is_dir()))
    }

    /// The time of what is made from a source.
    pub fn time_of(&self, stat: &Stat) -> Timestamp {
        self.file_time.unwrap_or(stat.mtime)
    }

    /// Dresses `name` in `dir`: owner, mode, extended attributes and time, in the order in which the kernel lets them
    /// stand.
    pub fn give(
        &self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        path: &[u8],
        stat: &Stat,
        xattrs: &[Xattr],
    ) -> Result<(), CopyError> {
        let (uid, gid) = self.owner_of(stat);
        give(dir, name, (uid, gid), path)?;
        if !stat.is_symlink() {
            fs::chmod_at(dir, name, self.mode_of(stat)).doing("change the mode of", path)?;
        }
        self.give_xattrs(dir, name, xattrs);
        fs::utimens_at(dir, name, self.time_of(stat)).doing("set the time of", path)
    }

    /// The same for a regular file that was just made and is still open. What it has already is not set again: each of
    /// these calls costs a change in the filesystem's journal.
    pub fn give_open(
        &self,
        file: &std::fs::File,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        path: &[u8],
        stat: &Stat,
        xattrs: &[Xattr],
    ) -> Result<(), CopyError> {
        let made = fs::fstat(file.as_fd()).doing("stat", path)?;
        let (uid, gid) = self.owner_of(stat);
        let mode = self.mode_of(stat);
        let same_owner = (made.uid, made.gid) == (uid, gid);
        if !same_owner {
            give(dir, name, (uid, gid), path)?;
        }
        if !same_owner || made.mode != mode {
            fs::chmod_at(dir, name, mode).doing("change the mode of", path)?;
        }
        self.give_xattrs(dir, name, xattrs);
        fs::utimens_fd(file, self.time_of(stat)).doing("set the time of", path)
    }

    fn give_xattrs(&self, dir: BorrowedFd<'_>, name: &OsStr, xattrs: &[Xattr]) {
        for (key, value) in xattrs {
            if self.owner.is_some() && key == OWNER_NOTE.as_bytes() {
                continue;
            }
            if fs::set_xattr_at(dir, name, OsStr::from_bytes(key), value).is_err() {
                self.lost_xattrs.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub fn check_cancelled(&self) -> Result<(), CopyError> {
        match self.cancelled {
            Some(cancelled) if cancelled() => Err(CopyError::Cancelled),
            _ => Ok(()),
        }
    }
}

/// Gives a file its owner, or at least a note of it.
pub(super) fn give(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    (uid, gid): (u32, u32),
    path: &[u8],
) -> Result<(), CopyError> {
    if give_at(dir, name, uid, gid).doing("change the owner of", path)? {
        return Ok(());
    }
    Err(CopyError::OwnerLost { path: rooted(path), uid, gid })
}
