//! Writing one name: a regular file, a link or a node, with its attributes.
//!
//! A file that is in the way is removed first, so that its other names keep their content.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use cooper_sys::fs::{self, Copier, FileKind, OFlags, Stat};

use super::CopyError;
use super::dress::Dress;
use super::error::{Doing as _, rooted};
use super::source::Files;
use super::xattrs::{self, Xattr};

/// What all threads of one copy share.
pub(super) struct Shared<'s> {
    pub files: &'s Files,
    pub dress: &'s Dress<'s>,
    /// Files, links and nodes written.
    pub written: AtomicU64,
    /// Bytes of regular files.
    pub bytes: AtomicU64,
    /// The first error of any thread.
    pub failure: Mutex<Option<CopyError>>,
    /// Set at an error: nobody begins anything more.
    pub stop: AtomicBool,
}

/// One name on both sides. Paths are for messages.
#[derive(Clone, Copy)]
pub(super) struct Spot<'p> {
    pub from: BorrowedFd<'p>,
    pub from_name: &'p OsStr,
    pub from_path: &'p [u8],
    pub to: BorrowedFd<'p>,
    pub name: &'p OsStr,
    pub path: &'p [u8],
    /// Attributes of the source.
    pub stat: &'p Stat,
}

/// Makes an empty file; one that is in the way, or a link, is removed first. `mode` is subject to the umask.
pub(super) fn create(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    path: &[u8],
    mode: u32,
) -> Result<OwnedFd, CopyError> {
    match fs::create_file_at(dir, name, mode) {
        Err(e) if e.is_exists() => {
            clear(dir, name, path)?;
            fs::create_file_at(dir, name, mode)
        }
        other => other,
    }
    .doing("create", path)
}

/// Removes a file that is in the way of one.
pub(super) fn clear(dir: BorrowedFd<'_>, name: &OsStr, path: &[u8]) -> Result<(), CopyError> {
    if fs::stat_at(dir, name).doing("stat", path)?.is_dir() {
        return Err(CopyError::FileOverDirectory { path: rooted(path) });
    }
    fs::unlink_at(dir, name).doing("remove", path)
}

/// Whether two looks at a file saw the same content.
pub(super) fn same_content(a: &Stat, b: &Stat) -> bool {
    (a.kind, a.dev, a.ino, a.size, a.mtime) == (b.kind, b.dev, b.ino, b.size, b.mtime)
}

impl<'s> Shared<'s> {
    pub fn new(files: &'s Files, dress: &'s Dress<'s>) -> Self {
        Shared {
            files,
            dress,
            written: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failure: Mutex::new(None),
            stop: AtomicBool::new(false),
        }
    }

    pub fn fail(&self, error: CopyError) {
        self.stop.store(true, Ordering::Relaxed);
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Counts a name that was linked to an earlier one.
    pub fn count_link(&self) {
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    /// Copies one name that is no directory.
    pub fn write(&self, spot: Spot<'_>, copier: &mut Copier) -> Result<(), CopyError> {
        self.dress.check_cancelled()?;
        let written = if spot.stat.is_file() { self.regular(spot, copier) } else { self.special(spot) };
        written?;
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn regular(&self, spot: Spot<'_>, copier: &mut Copier) -> Result<(), CopyError> {
        let from = fs::open_at(spot.from, spot.from_name, OFlags::RDONLY).doing("open", spot.from_path)?;
        let before = fs::fstat(&from).doing("stat", spot.from_path)?;
        let changed = || CopyError::Changed { path: rooted(spot.from_path) };
        if !same_content(&before, spot.stat) || !self.files.hasher.is_current(spot.from_path, &before) {
            return Err(changed());
        }
        let xattrs = self.xattrs(from.as_fd(), spot.from_path)?;
        let mode = self.dress.mode_of(spot.stat) & 0o777;
        let to = File::from(create(spot.to, spot.name, spot.path, mode)?);
        let copied = copier.copy(&from, &to, &before, before.size).doing("copy", spot.from_path)?;
        if copied != before.size
            || (self.files.client && !same_content(&fs::fstat(&from).doing("stat", spot.from_path)?, &before))
        {
            return Err(changed());
        }
        self.bytes.fetch_add(copied, Ordering::Relaxed);
        self.dress.give_open(&to, spot.to, spot.name, spot.path, spot.stat, &xattrs)
    }

    fn special(&self, spot: Spot<'_>) -> Result<(), CopyError> {
        let Spot { from, from_name, to, name, path, stat, .. } = spot;
        let target = match stat.kind {
            FileKind::Symlink => {
                Some(fs::readlink_at(from, from_name).doing("read the link", spot.from_path)?)
            }
            _ => None,
        };
        let make = || match (&target, stat.kind) {
            (Some(target), _) => fs::symlink_at(target, to, name),
            // Nobody listens on a copied socket: an empty file stands for it.
            (None, FileKind::Socket) => fs::create_file_at(to, name, 0o600).map(drop),
            (None, kind) => fs::mknod_at(to, name, kind, 0o600, stat.rdev_major, stat.rdev_minor),
        };
        match make() {
            Err(e) if e.is_exists() => {
                clear(to, name, path)?;
                make()
            }
            other => other,
        }
        .doing("create", path)?;
        let xattrs = if self.dress.keeps_owner {
            xattrs::at(from, from_name).doing("read the attributes of", spot.from_path)?
        } else {
            Vec::new()
        };
        self.dress.give(to, name, path, stat, &xattrs)
    }

    /// The extended attributes that go with an open file or directory of the source.
    pub fn xattrs(&self, file: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<Xattr>, CopyError> {
        if !self.dress.keeps_owner {
            return Ok(Vec::new());
        }
        xattrs::of_open(file).doing("read the attributes of", path)
    }
}
