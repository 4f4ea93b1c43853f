//! Finding, checking and publishing snapshots.
//!
//! A snapshot is `snapshots/<id>` with `fs`, `tree` and `meta` (see `layout`, `meta`). Its id is the hex of the diff
//! ID if it is right on any parents, else of the chain ID. It appears by one rename and never changes; it is put on
//! the lease before anyone looks at it. Nothing found damaged stays.

use std::fs::File;
use std::io::{self, BufReader};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cooper_oci::Digest;

use crate::chain::{Chain, DiffId};
use crate::emit;
use crate::error::{Error, Result};
use crate::files;
use crate::layout::Layout;
use crate::meta::{self, Meta};
use crate::scan::{self, Found};
use crate::store::{Inner, Store};
use crate::tree::{TreeKind, TreeManifest, TreeReader};

/// A snapshot that can be used.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    pub(crate) id: String,
    pub(crate) fs: PathBuf,
    pub(crate) meta: Meta,
}

pub(crate) fn open_tree(layout: &Layout, id: &str) -> Result<TreeReader<BufReader<File>>> {
    let path = layout.snapshot(id).join("tree");
    let file = File::open(&path).map_err(Error::io("open", &path))?;
    TreeReader::new(BufReader::new(file), &path)
}

impl Inner {
    /// The snapshots of a chain, base first.
    pub(crate) fn locate(&self, chain: &Chain) -> Result<Vec<Arc<Located>>> {
        let mut all: Vec<Option<Arc<Located>>> = {
            let known = self.located.lock().map_err(|_| Error::Poisoned)?;
            chain.ids().iter().map(|id| known.get(id).cloned()).collect()
        };
        for (index, slot) in all.iter_mut().enumerate() {
            if slot.is_none() {
                *slot = self.locate_layer(chain, index)?;
            }
            if slot.is_none() {
                return Err(Error::SnapshotMissing(chain.layers()[index].clone()));
            }
        }
        Ok(all.into_iter().flatten().collect())
    }

    /// The snapshot of one layer of a chain, if there is one. What was found once stays: it is on the lease.
    pub(crate) fn locate_layer(&self, chain: &Chain, index: usize) -> Result<Option<Arc<Located>>> {
        let (Some(diff_id), Some(chain_id)) = (chain.layers().get(index), chain.ids().get(index)) else {
            return Ok(None);
        };
        if let Some(known) = self.located.lock().map_err(|_| Error::Poisoned)?.get(chain_id) {
            return Ok(Some(Arc::clone(known)));
        }
        let found = match self.usable(chain_id.hex(), diff_id)? {
            None if index > 0 => {
                self.usable(diff_id.hex(), diff_id)?.filter(|located| located.meta.self_contained)
            }
            found => found,
        };
        let Some(located) = found else { return Ok(None) };
        self.remember(chain_id, located).map(Some)
    }

    /// Keeps where the snapshot of a chain's topmost layer is.
    pub(crate) fn remember(&self, chain_id: &Digest, located: Located) -> Result<Arc<Located>> {
        let located = Arc::new(located);
        let mut known = self.located.lock().map_err(|_| Error::Poisoned)?;
        known.insert(chain_id.clone(), Arc::clone(&located));
        Ok(located)
    }

    fn peek(&self, id: &str, diff_id: &DiffId) -> Result<Option<Meta>> {
        Ok(meta::read(&self.layout, id)?.filter(|meta| meta.diff_id == *diff_id))
    }

    /// The snapshot of this id, put on the lease, and checked if the machine stopped uncleanly since it was made.
    pub(crate) fn usable(&self, id: &str, diff_id: &DiffId) -> Result<Option<Located>> {
        // The diff ID as well: what is known about the layer is kept under it.
        self.hold_snapshots([id, diff_id.hex()])?;
        let Some(mut meta) = self.peek(id, diff_id)? else { return Ok(None) };
        let fs = self.layout.snapshot(id).join("fs");
        if meta.epoch < self.epoch {
            match self.check(id, &meta) {
                Ok(()) => {}
                Err(error) if error.is_miss() => {
                    self.quarantine(id)?;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
            meta.epoch = self.epoch;
            meta::write(self.session.tmp(), &self.layout.snapshot(id), &meta)?;
        }
        Ok(Some(Located { id: id.to_owned(), fs, meta }))
    }

    /// Compares every file of a snapshot with its manifest.
    pub(crate) fn check(&self, id: &str, meta: &Meta) -> Result<()> {
        let damaged = |reason: &str| Error::damaged(self.layout.snapshot(id), reason);
        let missing = |error: Error| match error.raw_os_error() {
            // What is not there is damage; any other failure of the disk is not for us to judge.
            Some(2) => damaged("a file is missing"),
            _ => error,
        };
        let mut manifest = open_tree(&self.layout, id).map_err(missing)?;
        let root = cooper_sys::fs::open_dir(&self.layout.snapshot(id).join("fs"))
            .map_err(|error| missing(error.into()))?;
        scan::walk(root.as_fd(), &mut |found: &Found<'_>| {
            let mut entry = found.entry.clone();
            let known =
                manifest.next().transpose()?.ok_or_else(|| damaged("there are more files than known"))?;
            if entry.kind == TreeKind::File {
                entry.content = Some(emit::hash_file(found)?);
            }
            if entry == known {
                return Ok(());
            }
            let path = String::from_utf8_lossy(&known.path).into_owned();
            Err(damaged(&format!("{path} is not what it was")))
        })
        .map_err(missing)?;
        if manifest.next().transpose()?.is_some() {
            return Err(damaged("a file is missing"));
        }
        if meta.manifest.is_empty() {
            return Err(damaged("the manifest has no name"));
        }
        Ok(())
    }

    /// Moves a damaged snapshot out of the way and removes it.
    pub(crate) fn quarantine(&self, id: &str) -> Result<()> {
        self.located.lock().map_err(|_| Error::Poisoned)?.retain(|_, located| located.id != id);
        let away = self.session.fresh_path("damaged");
        match std::fs::rename(self.layout.snapshot(id), &away) {
            Ok(()) => files::remove_tree(&away),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("rename", self.layout.snapshot(id))(error)),
        }
    }

    /// Makes a finished directory (`fs`, `tree`, `meta`) visible as a snapshot. If there is one already, it stays.
    pub(crate) fn publish(&self, dir: &Path, id: &str, diff_id: &DiffId) -> Result<()> {
        self.mark_dirty()?;
        self.hold_snapshots([id, diff_id.hex()])?;
        let target = self.layout.snapshot(id);
        loop {
            let Err(error) = std::fs::rename(dir, &target) else {
                self.changed();
                return Ok(());
            };
            if !matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) {
                return Err(Error::io("rename to", &target)(error));
            }
            if self.usable(id, diff_id)?.is_some() {
                return files::remove_tree(dir);
            }
            self.quarantine(id)?;
        }
    }
}

impl Store {
    /// Whether all layers of a chain were found before. Looks at no file; they stay until the store is closed.
    pub fn knows(&self, chain: &Chain) -> bool {
        self.inner()
            .located
            .lock()
            .is_ok_and(|known| chain.ids().iter().rev().all(|id| known.contains_key(id)))
    }

    /// Whether all layers of a chain are unpacked and usable. They then stay until the store is closed.
    pub fn has_snapshot(&self, chain: &Chain) -> Result<bool> {
        match self.inner().locate(chain) {
            Ok(_) => Ok(true),
            Err(Error::SnapshotMissing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The tree manifest of a layer, from whichever of its snapshots there is.
    pub fn tree(&self, diff_id: &DiffId) -> Result<TreeManifest> {
        let entries = self.tree_entries(diff_id)?.collect::<Result<Vec<_>>>()?;
        Ok(TreeManifest { entries })
    }

    /// As [`tree`](Self::tree), entry by entry.
    pub fn tree_entries(&self, diff_id: &DiffId) -> Result<TreeReader<BufReader<File>>> {
        let located = self.any_snapshot(diff_id)?;
        open_tree(self.layout(), &located.id)
    }

    /// The tree manifest of the topmost layer of a chain.
    pub fn tree_of_top(&self, chain: &Chain) -> Result<TreeManifest> {
        let Some(index) = chain.len().checked_sub(1) else { return Ok(TreeManifest::default()) };
        let Some(located) = self.inner().locate_layer(chain, index)? else {
            return Err(Error::SnapshotMissing(chain.layers()[index].clone()));
        };
        let entries = open_tree(self.layout(), &located.id)?.collect::<Result<Vec<_>>>()?;
        Ok(TreeManifest { entries })
    }

    /// Reads every file of every snapshot of a layer and compares it with the manifest. Damaged ones are removed.
    /// Returns how many were damaged.
    pub fn verify_snapshots(&self) -> Result<usize> {
        let inner = self.inner();
        let mut damaged = 0;
        for id in files::list(&self.layout().snapshots())? {
            inner.hold_snapshots([id.as_str()])?;
            let result = match meta::read(self.layout(), &id)? {
                Some(meta) => inner.check(&id, &meta),
                None => Err(Error::damaged(self.layout().snapshot(&id), "the record is missing")),
            };
            match result {
                Ok(()) => {}
                Err(error) if error.is_miss() => {
                    damaged += 1;
                    inner.quarantine(&id)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(damaged)
    }

    /// Some snapshot of a layer: the shared one, or one that belongs to a chain.
    pub(crate) fn any_snapshot(&self, diff_id: &DiffId) -> Result<Located> {
        let inner = self.inner();
        if let Some(located) = inner.usable(diff_id.hex(), diff_id)? {
            return Ok(located);
        }
        for id in files::list(&self.layout().snapshots())? {
            if inner.peek(&id, diff_id)?.is_some()
                && let Some(located) = inner.usable(&id, diff_id)?
            {
                return Ok(located);
            }
        }
        Err(Error::SnapshotMissing(diff_id.clone()))
    }
}
