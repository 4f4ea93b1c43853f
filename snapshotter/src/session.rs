//! One open store: its lease and its temporary directory.
//!
//! `locks/session-<id>` is locked (flock, exclusive) while the session lives and holds the lease: one line for
//! each object in use, `s <snapshot id>` or `b <digest>`. Collection reads the leases of live sessions and
//! never takes what they name. A line is appended *before* the object is looked at, under a shared lock of
//! `locks/gc`, which collection holds exclusively: there is no moment between "found" and "held".
//! `tmp/<id>/` is the session's own, made when it is first needed: to remove a directory takes ext4 milliseconds. When the
//! lock is free its owner is dead, and both are removed.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::error::{Error, Result};
use crate::files;
use crate::layout::Layout;

const PREFIX: &str = "session-";
/// Directories that lie together.
const SHELF: u64 = 64;

/// The lease and the temporary directory of this process's open store.
#[derive(Debug)]
pub(crate) struct Session {
    tmp: PathBuf,
    /// Whether the directory was made.
    made: OnceLock<()>,
    lock_path: PathBuf,
    lease: Mutex<Lease>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Lease {
    file: File,
    held: HashSet<String>,
}

impl Session {
    /// Starts a session.
    pub(crate) fn start(layout: &Layout) -> Result<Self> {
        loop {
            let random = std::hash::RandomState::new().build_hasher().finish();
            let id = format!("{}-{random:016x}", std::process::id());
            let lock_path = layout.locks().join(format!("{PREFIX}{id}"));
            let file = OpenOptions::new()
                .read(true)
                .append(true)
                .create_new(true)
                .open(&lock_path)
                .map_err(Error::io("create", &lock_path))?;
            file.lock().map_err(Error::io("lock", &lock_path))?;
            // A cleaner may have taken the file for an orphan before it was locked.
            if file.metadata().map_err(Error::io("look at", &lock_path))?.nlink() == 0 {
                continue;
            }
            let (tmp, made) = (layout.tmp().join(&id), OnceLock::new());
            let lease = Mutex::new(Lease { file, held: HashSet::new() });
            return Ok(Self { tmp, made, lock_path, lease, next: AtomicU64::new(0) });
        }
    }

    /// The session's temporary directory.
    pub(crate) fn tmp(&self) -> &Path {
        self.made.get_or_init(|| {
            // If it cannot be made, whatever is to be made in it fails and names it.
            let _ = fs::DirBuilder::new().mode(0o700).create(&self.tmp);
            // The work directory of every overlay mount leaves freed inodes behind: see `spread_sessions`.
            let _ = cooper_sys::fs::open_dir(&self.tmp).map(cooper_sys::fs::spread_subdirectories);
        });
        &self.tmp
    }

    /// A path in the temporary directory that was never handed out before.
    pub(crate) fn fresh_path(&self, prefix: &str) -> PathBuf {
        self.tmp().join(format!("{prefix}-{}", self.next.fetch_add(1, Ordering::Relaxed)))
    }

    /// As [`fresh_path`](Self::fresh_path), for a directory in which many files come and go: a few of them lie together.
    pub(crate) fn fresh_path_apart(&self, prefix: &str) -> Result<PathBuf> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let shelf = self.tmp().join(format!("shelf-{}", number / SHELF));
        match fs::DirBuilder::new().mode(0o700).create(&shelf) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::io("create", shelf)(error))
            }
            _ => Ok(shelf.join(format!("{prefix}-{number}"))),
        }
    }

    /// Puts objects on the lease. When this returns, collection does not take them until the session ends.
    pub(crate) fn hold(&self, layout: &Layout, objects: &[String]) -> Result<()> {
        let mut lease = self.lease.lock().map_err(|_| Error::Poisoned)?;
        let new: Vec<&String> = objects.iter().filter(|object| !lease.held.contains(*object)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let gate = open_lock(&layout.gc_lock())?;
        gate.lock_shared().map_err(Error::io("lock", layout.gc_lock()))?;
        let mut lines = String::new();
        for object in &new {
            lines.push_str(object);
            lines.push('\n');
        }
        lease.file.write_all(lines.as_bytes()).map_err(Error::io("write", &self.lock_path))?;
        lease.held.extend(new.into_iter().cloned());
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Best effort: the next start cleans up what stays. The file goes before its lock does.
        if self.made.get().is_some() {
            let _ = files::remove_tree(&self.tmp);
        }
        let _ = files::remove_file(&self.lock_path);
    }
}

/// Opens (or makes) a lock file.
pub(crate) fn open_lock(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(Error::io("open", path))
}

/// Removes what dead sessions left behind.
pub(crate) fn clean_dead(layout: &Layout) -> Result<()> {
    for id in files::list(&layout.tmp())? {
        let lock_path = layout.locks().join(format!("{PREFIX}{id}"));
        // Held until the end of the round, so that one cleaner works at a time.
        let owner = owner_of(&lock_path)?;
        if matches!(owner, Owner::Alive) {
            continue;
        }
        // What cannot be removed now (files of another user's ids, say) is left to somebody who can.
        if files::remove_tree(&layout.tmp().join(&id)).is_ok() {
            files::remove_file(&lock_path)?;
        }
        drop(owner);
    }
    for name in files::list(&layout.locks())? {
        let Some(id) = name.strip_prefix(PREFIX) else { continue };
        let lock_path = layout.locks().join(&name);
        if layout.tmp().join(id).exists() {
            continue;
        }
        if let Owner::Dead(lock) = owner_of(&lock_path)? {
            files::remove_file(&lock_path)?;
            drop(lock);
        }
    }
    Ok(())
}

/// What became of the process that made a lease.
enum Owner {
    Alive,
    /// Dead; its file, locked now.
    Dead(File),
    /// The file is gone already.
    Gone,
}

fn owner_of(path: &Path) -> Result<Owner> {
    match File::open(path) {
        Ok(file) => match file.try_lock() {
            Ok(()) => Ok(Owner::Dead(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(Owner::Alive),
            Err(fs::TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Owner::Gone),
        Err(error) => Err(Error::io("open", path)(error)),
    }
}

/// Every object named by a live session's lease. Call it with `locks/gc` locked exclusively.
pub(crate) fn leased(layout: &Layout) -> Result<HashSet<String>> {
    let mut objects = HashSet::new();
    for name in files::list(&layout.locks())? {
        if !name.starts_with(PREFIX) {
            continue;
        }
        let path = layout.locks().join(&name);
        if !matches!(owner_of(&path)?, Owner::Alive) {
            continue;
        }
        let mut text = String::new();
        match File::open(&path).and_then(|mut file| file.read_to_string(&mut text)) {
            Ok(_) => objects.extend(text.lines().map(str::to_owned)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", &path)(error)),
        }
    }
    Ok(objects)
}
