//! Unpacking layers into snapshots.
//!
//! Most layers can be unpacked on their own, all at once, and shared by every chain. One that names files without
//! their directories, links to files of its parents, or marks the root opaque says different things on different
//! parents: it is unpacked once more, on its chain, and its snapshot belongs to that chain alone.

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cooper_oci::HashingReader;
use cooper_oci::tar::{Budget, Reader};
use cooper_sys::fs;

use super::engine::{Engine, Outcome, Policy, Report, Tree};
use crate::chain::{Chain, DiffId, LayerInfo};
use crate::emit;
use crate::error::{Error, Result};
use crate::meta::{self, Meta};
use crate::roots::RootLook;
use crate::store::Store;
use crate::view::Scratch;

/// More than this many layers at a time gain nothing.
const MAX_THREADS: usize = 4;

const POLICY: Policy = Policy {
    dress_root: true,
    chown: None,
    user_xattrs: true,
    strict_owners: false,
    keep_parent_times: true,
};

/// Gives the uncompressed tar stream of a layer.
pub type OpenLayer<'a> = dyn Fn(&DiffId) -> Result<Box<dyn Read>> + Sync + 'a;

impl Store {
    /// Unpacks all layers of a chain that are not unpacked yet. `open` gives the uncompressed tar of a layer, and may
    /// be called twice for one, and from several threads. The digest of each stream is checked. Snapshots are
    /// durable after [`sync`](Self::sync). The report names what had to be left out.
    pub fn ensure_unpacked(&self, chain: &Chain, open: &OpenLayer<'_>) -> Result<Report> {
        let mut missing = Vec::new();
        for index in 0..chain.len() {
            if self.inner().locate_layer(chain, index)?.is_none() {
                missing.push(index);
            }
        }
        let report = Mutex::new(Report::default());
        self.unpack_alone(chain, &missing, open, &report)?;
        for index in missing {
            if self.inner().locate_layer(chain, index)?.is_none() {
                let more = self.unpack_on_parents(chain, index, open)?;
                merge(&report, more)?;
            }
        }
        report.into_inner().map_err(|_| Error::Poisoned)
    }

    /// First try for all missing layers, several at a time.
    fn unpack_alone(
        &self,
        chain: &Chain,
        missing: &[usize],
        open: &OpenLayer<'_>,
        report: &Mutex<Report>,
    ) -> Result<()> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(MAX_THREADS).min(missing.len());
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        let work = || {
            while let Some(index) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = self.unpack_one_alone(chain, *index, open);
                match result.and_then(|more| merge(report, more)) {
                    Ok(()) => {}
                    Err(error) => {
                        next.store(missing.len(), Ordering::Relaxed);
                        if let Ok(mut failure) = failure.lock() {
                            failure.get_or_insert(error);
                        }
                    }
                }
            }
        };
        if threads <= 1 {
            work();
        } else {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(work);
                }
            });
        }
        failure.into_inner().map_err(|_| Error::Poisoned)?.map_or(Ok(()), Err)
    }

    fn unpack_one_alone(&self, chain: &Chain, index: usize, open: &OpenLayer<'_>) -> Result<Report> {
        let inner = self.inner();
        let Some(diff_id) = chain.layers().get(index) else { return Ok(Report::default()) };
        let _lock = self.lock_step(&format!("unpack-{}", diff_id.hex()))?;
        if inner.locate_layer(chain, index)?.is_some() {
            return Ok(Report::default());
        }
        let scratch = Scratch::new(inner, "layer")?;
        let dir = scratch.path.join("fs");
        std::fs::create_dir(&dir).map_err(Error::io("create", &dir))?;
        let root = fs::open_dir(&dir)?;
        fs::chmod_fd(&root, 0o755)?;
        fs::chown_fd(&root, 0, 0)?;
        fs::utimens_at(&root, ".", (0, 0))?;
        let mut engine = Engine::new(root.as_fd(), Tree::Upper { parents: index > 0 }, POLICY);
        let Some(size_bytes) = run(&mut engine, diff_id, open)? else { return Ok(Report::default()) };
        let look = if engine.root_dressed { Some(RootLook::of(&fs::fstat(&root)?)) } else { None };
        let facts = Facts { chain, index, size_bytes, self_contained: !engine.implicit, root: look };
        let hashes = std::mem::take(&mut engine.hashes);
        let report = std::mem::take(&mut engine.report);
        self.finish_layer(scratch, facts, &hashes)?;
        Ok(report)
    }

    fn unpack_on_parents(&self, chain: &Chain, index: usize, open: &OpenLayer<'_>) -> Result<Report> {
        let Some(diff_id) = chain.layers().get(index) else { return Ok(Report::default()) };
        let id = chain.prefix(index + 1).id().unwrap_or_else(|| diff_id.clone());
        let _lock = self.lock_step(&format!("unpack-{}-on-parents", id.hex()))?;
        if self.inner().locate_layer(chain, index)?.is_some() {
            return Ok(Report::default());
        }
        let active = self.prepare(&chain.prefix(index), &[])?;
        let mut engine = Engine::new(active.root(), Tree::Merged, POLICY);
        let Some(size_bytes) = run(&mut engine, diff_id, open)? else {
            return Err(Error::member(b"", "a merged tree needs no parents"));
        };
        let report = std::mem::take(&mut engine.report);
        let look = if engine.root_dressed { Some(RootLook::of(&fs::fstat(active.root())?)) } else { None };
        drop(engine);
        let scratch = active.into_upper()?;
        let facts = Facts { chain, index, size_bytes, self_contained: false, root: look };
        self.finish_layer(scratch, facts, &HashMap::new())?;
        Ok(report)
    }

    /// Writes manifest and record of an unpacked layer and publishes it.
    fn finish_layer(
        &self,
        scratch: Scratch,
        facts: Facts<'_>,
        hashes: &HashMap<u64, [u8; 32]>,
    ) -> Result<()> {
        let Facts { chain, index, size_bytes, self_contained, root: look } = facts;
        let Some(diff_id) = chain.layers().get(index) else { return Ok(()) };
        let root = fs::open_dir(&scratch.path.join("fs"))?;
        let manifest = emit::write_manifest(root.as_fd(), &scratch.path.join("tree"), hashes)?;
        let meta = Meta {
            diff_id: diff_id.clone(),
            epoch: self.inner().epoch,
            self_contained,
            whiteouts: manifest.whiteouts,
            root: look,
            made_here: false,
            disk_bytes: manifest.disk_bytes,
            manifest: manifest.tree.manifest,
        };
        meta::create(&scratch.path, &meta)?;
        let id = if self_contained { Some(diff_id.clone()) } else { chain.prefix(index + 1).id() };
        let id = id.unwrap_or_else(|| diff_id.clone());
        self.inner().publish(&scratch.path, id.hex(), diff_id)?;
        self.put_layer(&LayerInfo {
            diff_id: diff_id.clone(),
            size_bytes,
            content: manifest.tree.content,
            entries: manifest.tree.count,
            blobs: Vec::new(),
        })?;
        Ok(())
    }
}

struct Facts<'a> {
    chain: &'a Chain,
    index: usize,
    size_bytes: u64,
    self_contained: bool,
    root: Option<RootLook>,
}

fn merge(report: &Mutex<Report>, more: Report) -> Result<()> {
    let mut report = report.lock().map_err(|_| Error::Poisoned)?;
    report.left_out += more.left_out;
    report.members += more.members;
    report.warnings.extend(more.warnings);
    Ok(())
}

/// Feeds a layer to the engine and checks its digest. The size of the tar, or `None` if it needs its parents.
fn run(engine: &mut Engine<'_>, diff_id: &DiffId, open: &OpenLayer<'_>) -> Result<Option<u64>> {
    let stream = HashingReader::with_algorithm(open(diff_id)?, diff_id.algorithm());
    let mut reader = Reader::new(stream, Budget::layer());
    if engine.run(diff_id.as_str(), &mut reader)? == Outcome::NeedsParents {
        return Ok(None);
    }
    let archive = |source| Error::Archive { layer: diff_id.to_string(), source };
    let (_, found, size_bytes) = reader.drain().map_err(archive)?.finish();
    if found != *diff_id {
        return Err(Error::DigestMismatch { expected: diff_id.clone(), found });
    }
    Ok(Some(size_bytes))
}
