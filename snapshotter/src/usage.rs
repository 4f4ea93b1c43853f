//! What is in the store and how much space it takes.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cooper_oci::Digest;
use cooper_sys::fs::{FileKind, OFlags};

use crate::error::{Error, Result};
use crate::files;
use crate::layout::Layout;
use crate::meta;
use crate::store::Store;

/// Larger blobs are layers, not documents that name others.
const MAX_DOCUMENT_BYTES: u64 = 8 << 20;

/// Number and space of one kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// How many there are.
    pub count: u64,
    /// Space on disk in bytes.
    pub bytes: u64,
}

impl Usage {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// What takes space in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskUsage {
    /// Names of images.
    pub images: Usage,
    /// Manifests, configs, compressed layers.
    pub blobs: Usage,
    /// Unpacked layers.
    pub snapshots: Usage,
    /// Records of steps.
    pub steps: Usage,
    /// Cache mounts.
    pub mounts: Usage,
    /// Indexes of build contexts.
    pub contexts: Usage,
    /// Work in progress.
    pub temporary: Usage,
    /// Of blobs and snapshots: bytes that no image and no step needs.
    pub unreferenced_bytes: u64,
}

impl DiskUsage {
    /// All of it in bytes.
    pub fn total_bytes(&self) -> u64 {
        [self.images, self.blobs, self.snapshots, self.steps, self.mounts, self.contexts, self.temporary]
            .iter()
            .map(|usage| usage.bytes)
            .sum()
    }
}

/// A small file or a directory with its size and its last use.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) unused_for: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct StepItem {
    pub(crate) item: Item,
    pub(crate) duration_ms: u64,
    pub(crate) digests: Vec<Digest>,
}

#[derive(Debug, Clone)]
pub(crate) struct SnapshotItem {
    pub(crate) id: String,
    pub(crate) diff_id: Option<Digest>,
    pub(crate) bytes: u64,
}

/// Everything that there is.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) blobs: HashMap<Digest, u64>,
    pub(crate) snapshots: Vec<SnapshotItem>,
    pub(crate) steps: Vec<StepItem>,
    pub(crate) image_digests: Vec<Digest>,
    pub(crate) images: Usage,
    pub(crate) mounts: Vec<Item>,
    pub(crate) contexts: Vec<Item>,
}

impl Inventory {
    /// Everything; `mounts` are measured before.
    pub(crate) fn take(layout: &Layout, mounts: Vec<Item>) -> Result<Self> {
        let mut all = Self { mounts, ..Self::default() };
        for algorithm in ["sha256", "sha512"] {
            let dir = layout.blob_dir(algorithm);
            for name in files::list(&dir)? {
                if let (Ok(digest), Ok(meta)) =
                    (format!("{algorithm}:{name}").parse(), fs::metadata(dir.join(&name)))
                {
                    all.blobs.insert(digest, meta.blocks() * 512);
                }
            }
        }
        for id in files::list(&layout.snapshots())? {
            let meta = meta::read(layout, &id)?;
            let (diff_id, bytes) = match meta {
                Some(meta) => (Some(meta.diff_id), meta.disk_bytes),
                None => (None, tree_bytes(&layout.snapshot(&id))?),
            };
            all.snapshots.push(SnapshotItem { id, diff_id, bytes });
        }
        for name in files::list(&layout.steps())? {
            let path = layout.steps().join(&name);
            let Some(item) = file_item(&path, name)? else { continue };
            let record = files::read_record(&path)?.unwrap_or_default();
            let json = serde_json::from_slice::<serde_json::Value>(&record).ok();
            let duration_ms = json.and_then(|json| json.get("duration_ms")?.as_u64()).unwrap_or(0);
            all.steps.push(StepItem { item, duration_ms, digests: Store::digests_in(&record) });
        }
        for name in files::list(&layout.images())? {
            let path = layout.images().join(&name);
            if let Some(item) = file_item(&path, name)? {
                all.images.add(item.bytes);
            }
            all.image_digests.extend(Store::digests_in(&files::read_record(&path)?.unwrap_or_default()));
        }
        for name in files::list(&layout.contexts())? {
            let path = layout.contexts().join(&name);
            all.contexts.extend(file_item(&path, name)?);
        }
        Ok(all)
    }

    /// Cache mounts with their sizes. Walks all of them: not to be called under a lock.
    pub(crate) fn mounts(layout: &Layout) -> Result<Vec<Item>> {
        let mut mounts = Vec::new();
        for name in files::list(&layout.mounts())? {
            let bytes = tree_bytes(&layout.mounts().join(&name))?;
            // The lock file's time is the last use.
            let lock = layout.locks().join(format!("mount-{name}"));
            let unused_for = fs::metadata(lock).ok().map_or(Duration::MAX, |meta| age(&meta));
            mounts.push(Item { name, bytes, unused_for });
        }
        Ok(mounts)
    }

    /// All digests that `roots` lead to, through manifests, indexes and configs.
    pub(crate) fn closure(
        &self,
        layout: &Layout,
        roots: impl IntoIterator<Item = Digest>,
    ) -> HashSet<Digest> {
        let mut reached = HashSet::new();
        let mut queue: Vec<Digest> = roots.into_iter().collect();
        while let Some(digest) = queue.pop() {
            if !reached.insert(digest.clone()) {
                continue;
            }
            // A layer keeps its compressed forms, which took time to make.
            if let Ok(Some(info)) = files::read_record(&layout.layers().join(digest.hex())) {
                queue.extend(Store::digests_in(&info));
            }
            if !self.blobs.contains_key(&digest) {
                continue;
            }
            let path = layout.blob(&digest);
            let small = fs::metadata(&path).is_ok_and(|meta| meta.len() <= MAX_DOCUMENT_BYTES);
            if small
                && let Ok(bytes) = fs::read(&path)
                && bytes.first() == Some(&b'{')
            {
                queue.extend(Store::digests_in(&bytes));
            }
        }
        reached
    }
}

fn file_item(path: &Path, name: String) -> Result<Option<Item>> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(Item { name, bytes: meta.blocks() * 512, unused_for: age(&meta) })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}

/// How long ago a file was touched; a time in the future counts as now.
fn age(meta: &fs::Metadata) -> Duration {
    let touched = meta.modified().unwrap_or_else(|_| SystemTime::now());
    SystemTime::now().duration_since(touched).unwrap_or_default()
}

/// Space of a tree on disk, each inode once.
pub(crate) fn tree_bytes(path: &Path) -> Result<u64> {
    let root = match cooper_sys::fs::open_dir(path) {
        Ok(root) => root,
        Err(error) if error.is_not_found() => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    let mut seen = HashSet::new();
    dir_bytes(root.as_fd(), &mut seen)
}

fn dir_bytes(dir: BorrowedFd<'_>, seen: &mut HashSet<(u64, u64)>) -> Result<u64> {
    let mut bytes = 0;
    for item in cooper_sys::fs::read_dir(dir)? {
        // Somebody may be at work here: what is gone takes no space.
        let Ok(stat) = cooper_sys::fs::stat_at(dir, &item.name) else { continue };
        if stat.nlink <= 1 || item.kind == FileKind::Dir || seen.insert((stat.dev, stat.ino)) {
            bytes += stat.blocks * 512;
        }
        if item.kind == FileKind::Dir
            && let Ok(child) = cooper_sys::fs::open_at(dir, &item.name, OFlags::RDONLY | OFlags::DIRECTORY)
        {
            bytes += dir_bytes(child.as_fd(), seen)?;
        }
    }
    Ok(bytes)
}

impl Store {
    /// Counts what takes space.
    pub fn disk_usage(&self) -> Result<DiskUsage> {
        let layout = self.layout();
        let all = Inventory::take(layout, Inventory::mounts(layout)?)?;
        let roots = all.image_digests.iter().chain(all.steps.iter().flat_map(|step| &step.digests)).cloned();
        let reached = all.closure(layout, roots);
        let mut usage = DiskUsage { images: all.images, ..DiskUsage::default() };
        for (digest, bytes) in &all.blobs {
            usage.blobs.add(*bytes);
            if !reached.contains(digest) {
                usage.unreferenced_bytes += bytes;
            }
        }
        for snapshot in &all.snapshots {
            usage.snapshots.add(snapshot.bytes);
            if !snapshot.diff_id.as_ref().is_some_and(|diff_id| reached.contains(diff_id)) {
                usage.unreferenced_bytes += snapshot.bytes;
            }
        }
        all.steps.iter().for_each(|step| usage.steps.add(step.item.bytes));
        all.mounts.iter().for_each(|mount| usage.mounts.add(mount.bytes));
        all.contexts.iter().for_each(|context| usage.contexts.add(context.bytes));
        for name in files::list(&layout.partials())? {
            let unfinished = fs::metadata(layout.partials().join(name));
            usage.temporary.add(unfinished.map_or(0, |meta| meta.blocks() * 512));
        }
        for name in files::list(&layout.tmp())? {
            usage.temporary.add(tree_bytes(&layout.tmp().join(name))?);
        }
        Ok(usage)
    }
}
