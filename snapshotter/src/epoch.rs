//! Telling an unclean stop of the machine from the death of a process.
//!
//! `locks/dirty` holds the boot id of the machine while there may be snapshots that are not on disk yet. A
//! process takes a shared lock of it and makes it durable before its first change, and the last one to leave
//! removes it after a `syncfs`. If a store is opened and finds the marker of *another* boot, the power went
//! (or the kernel died) in between: the number in `epoch` grows, and snapshots that carry an older number are
//! checked against their tree manifests before they are used. A killed process costs nothing, because the page
//! cache survives it. No clock is involved.
//!
//! Each process that takes the lock appends a byte to `locks/dirty`; the last one to leave empties it. Who finds only
//! its own byte, from the beginning to the end, was alone, and knows whether everything is on disk already.

use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::error::{Error, Result};
use crate::files::{self, Durability};
use crate::layout::Layout;
use crate::session::open_lock;

/// This process's part in the marker.
#[derive(Debug)]
pub(crate) struct DirtyMark {
    layout: Layout,
    boot_id: String,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    _lock: File,
    /// Nobody had made changes before that may not be on disk.
    first: bool,
}

fn marker(layout: &Layout) -> PathBuf {
    layout.locks().join("dirty-boot")
}

fn marker_lock(layout: &Layout) -> PathBuf {
    layout.locks().join("dirty")
}

/// The boot id, or something that equals nothing where the kernel does not tell.
pub(crate) fn boot_id() -> String {
    let path = "/proc/sys/kernel/random/boot_id";
    match std::fs::read_to_string(path) {
        Ok(id) if !id.trim().is_empty() => id.trim().to_owned(),
        _ => format!("unknown-{:016x}", std::hash::RandomState::new().build_hasher().finish()),
    }
}

/// Reads the epoch; if the machine stopped uncleanly since the store was last used, a new one begins.
pub(crate) fn open(layout: &Layout, boot_id: &str) -> Result<u64> {
    let gate = open_lock(&layout.locks().join("epoch"))?;
    gate.lock().map_err(Error::io("lock", layout.locks().join("epoch")))?;
    let path = layout.root().join("epoch");
    let mut epoch = match files::read_record(&path)? {
        Some(bytes) => std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok()),
        None => None,
    };
    let fresh = !path.exists();
    let unclean = files::read_optional(&marker(layout))?.is_some_and(|found| found != boot_id.as_bytes());
    if epoch.is_none() || unclean {
        // A damaged epoch file forgets the number: jump far ahead, so that nothing counts as checked.
        let next = match epoch {
            Some(known) => known + 1,
            None if fresh => 1,
            None => highest_epoch(layout)? + 1,
        };
        files::write_record(
            &layout.root().join("locks"),
            layout.root(),
            "epoch",
            next.to_string().as_bytes(),
            Durability::PowerCut,
        )?;
        if unclean {
            files::remove_file(&marker(layout))?;
            files::sync_dir(&layout.locks())?;
        }
        epoch = Some(next);
    }
    Ok(epoch.unwrap_or(1))
}

fn highest_epoch(layout: &Layout) -> Result<u64> {
    let mut highest = 0;
    for id in files::list(&layout.snapshots())? {
        if let Some(meta) = crate::meta::read(layout, &id)? {
            highest = highest.max(meta.epoch);
        }
    }
    Ok(highest)
}

impl DirtyMark {
    pub(crate) fn new(layout: &Layout, boot_id: String) -> Self {
        Self { layout: layout.clone(), boot_id, held: Mutex::new(None) }
    }

    /// Must return before the first unsynced change becomes visible.
    pub(crate) fn set(&self) -> Result<()> {
        let mut held = self.held.lock().map_err(|_| Error::Poisoned)?;
        if held.is_some() {
            return Ok(());
        }
        let path = marker_lock(&self.layout);
        let lock = open_lock(&path)?;
        lock.lock_shared().map_err(Error::io("lock", &path))?;
        let mut first = count_me(&path).map_err(Error::io("write", &path))? == 1;
        if files::read_optional(&marker(&self.layout))?.as_deref() == Some(self.boot_id.as_bytes()) {
            first = false;
        } else {
            files::write_atomic(
                &self.layout.locks(),
                &self.layout.locks(),
                "dirty-boot",
                &[self.boot_id.as_bytes()],
                Durability::PowerCut,
            )?;
        }
        *held = Some(Held { _lock: lock, first });
        Ok(())
    }

    /// Gives up the mark. The last process syncs the whole store, unless it knows that all is on disk (because all its
    /// own changes are, as `synced` says, and nobody else made any), and removes the marker.
    pub(crate) fn clear(&self, synced: bool, sync: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut held = self.held.lock().map_err(|_| Error::Poisoned)?;
        let Some(Held { _lock: lock, first }) = held.take() else { return Ok(()) };
        drop(lock);
        let path = marker_lock(&self.layout);
        let lock = open_lock(&path)?;
        if lock.try_lock().is_ok() {
            let alone = first && lock.metadata().is_ok_and(|meta| meta.len() == 1);
            if !(alone && synced) {
                sync()?;
            }
            files::remove_file(&marker(&self.layout))?;
            lock.set_len(0).map_err(Error::io("write", &path))?;
        }
        Ok(())
    }
}

/// Appends a byte; returns how many there are now.
fn count_me(path: &std::path::Path) -> std::io::Result<u64> {
    let mut file = File::options().append(true).open(path)?;
    file.write_all(b".")?;
    Ok(file.metadata()?.len())
}
