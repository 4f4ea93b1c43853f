//! Facts, one file each: images, step records, layer infos, context indexes.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use cooper_oci::{Descriptor, Digest};
use serde::{Deserialize, Serialize};

use crate::chain::{BlobForm, DiffId, LayerInfo};
use crate::error::{Error, Result};
use crate::files::{self, Durability, encode_name};
use crate::session::open_lock;
use crate::store::Store;

/// A name for a manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The full name, such as `docker.io/library/busybox:latest`.
    pub name: String,
    /// The manifest or index in the content store.
    pub target: Descriptor,
    /// When the name was set, in seconds since 1970. For people; nothing compares it.
    pub created: i64,
}

/// The lock of one step: one byte of `locks/steps`, whose place is a hash of the key. Others that want the same step wait
/// until it is dropped or its process is dead.
#[derive(Debug)]
pub struct StepLock {
    _file: File,
}

fn now_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or(0)
}

fn to_json<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::damaged(what, error.to_string()))
}

impl Store {
    /// All images, sorted by name.
    pub fn images(&self) -> Result<Vec<ImageRecord>> {
        let mut images = Vec::new();
        for name in files::list(&self.layout().images())? {
            if let Some(bytes) = files::read_record(&self.layout().images().join(name))?
                && let Ok(record) = serde_json::from_slice::<ImageRecord>(&bytes)
            {
                images.push(record);
            }
        }
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }

    /// The image of this name.
    pub fn image(&self, name: &str) -> Result<Option<ImageRecord>> {
        let path = self.layout().images().join(encode_name(name));
        let record =
            files::read_record(&path)?.and_then(|bytes| serde_json::from_slice::<ImageRecord>(&bytes).ok());
        if let Some(record) = &record {
            self.inner().hold_blob(&record.target.digest)?;
        }
        Ok(record)
    }

    /// Gives a manifest a name, taking it from another one if need be.
    pub fn tag(&self, name: &str, target: Descriptor) -> Result<ImageRecord> {
        if name.is_empty() {
            return Err(Error::BadName(name.to_owned()));
        }
        let record = ImageRecord { name: name.to_owned(), target, created: now_seconds() };
        let bytes = to_json(name, &record)?;
        let dir = self.layout().images();
        files::write_record(self.session().tmp(), &dir, &encode_name(name), &bytes, Durability::PowerCut)?;
        Ok(record)
    }

    /// Takes a name away; says whether there was one.
    pub fn untag(&self, name: &str) -> Result<bool> {
        let path = self.layout().images().join(encode_name(name));
        let existed = path.exists();
        files::remove_file(&path)?;
        files::sync_dir(&self.layout().images())?;
        Ok(existed)
    }

    /// The record of a step; a missing or damaged one is `None`. Counts as a use of the step.
    pub fn get_step(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let path = self.layout().step(key);
        let record = files::read_record(&path)?;
        if record.is_some() {
            // Best effort: only the order of eviction depends on it.
            if let Ok(file) = File::options().append(true).open(&path) {
                let _ = file.set_modified(SystemTime::now());
            }
        }
        Ok(record)
    }

    /// Records what a step produced. Call [`sync`](Self::sync) first: a record must not outlive its layers. The record
    /// itself is durable after the next sync; a power cut before may lose it, which is a miss.
    pub fn put_step(&self, key: &str, record: &[u8]) -> Result<()> {
        self.inner().mark_dirty()?;
        let dir = self.layout().steps();
        files::write_record(self.session().tmp(), &dir, &encode_name(key), record, Durability::Process)?;
        self.inner().changed();
        Ok(())
    }

    /// Forgets a step.
    pub fn remove_step(&self, key: &str) -> Result<()> {
        files::remove_file(&self.layout().step(key))
    }

    /// The records of all steps, damaged ones left out, each counted as unused. For explaining a miss.
    pub fn steps(&self) -> Result<Vec<Vec<u8>>> {
        let mut records = Vec::new();
        for name in files::list(&self.layout().steps())? {
            if let Some(bytes) = files::read_record(&self.layout().steps().join(name))? {
                records.push(bytes);
            }
        }
        Ok(records)
    }

    /// Waits for the lock of a step.
    pub fn lock_step(&self, key: &str) -> Result<StepLock> {
        self.lock_step_with(key, true)?.ok_or(Error::Poisoned)
    }

    /// The lock of a step if nobody has it.
    pub fn try_lock_step(&self, key: &str) -> Result<Option<StepLock>> {
        self.lock_step_with(key, false)
    }

    fn lock_step_with(&self, key: &str, wait: bool) -> Result<Option<StepLock>> {
        let file = open_lock(&self.layout().locks().join("steps"))?;
        let mut place = [0; 8];
        place.copy_from_slice(&blake3::hash(key.as_bytes()).as_bytes()[..8]);
        let locked = cooper_sys::fs::lock_byte(&file, u64::from_le_bytes(place), wait)?;
        Ok(locked.then_some(StepLock { _file: file }))
    }

    /// What is known about a layer.
    pub fn layer(&self, diff_id: &DiffId) -> Result<Option<LayerInfo>> {
        let bytes = files::read_record(&self.layout().layers().join(diff_id.hex()))?;
        let info = bytes.and_then(|bytes| serde_json::from_slice::<LayerInfo>(&bytes).ok());
        Ok(info.filter(|info| info.diff_id == *diff_id))
    }

    /// Writes down what is known about a layer; forms known before are kept. Returns all that is known now.
    pub fn put_layer(&self, info: &LayerInfo) -> Result<LayerInfo> {
        let mut info = info.clone();
        if let Some(known) = self.layer(&info.diff_id)? {
            for form in known.blobs {
                if !info.blobs.contains(&form) {
                    info.blobs.push(form);
                }
            }
        }
        let bytes = to_json(info.diff_id.as_str(), &info)?;
        let dir = self.layout().layers();
        files::write_record(self.session().tmp(), &dir, info.diff_id.hex(), &bytes, Durability::Process)?;
        self.inner().changed();
        Ok(info)
    }

    /// Remembers a form of a layer. Does nothing for a layer that is not known yet.
    pub fn record_blob_form(&self, diff_id: &DiffId, form: BlobForm) -> Result<()> {
        let Some(mut info) = self.layer(diff_id)? else { return Ok(()) };
        if info.blobs.contains(&form) {
            return Ok(());
        }
        info.blobs.retain(|known| known.digest != form.digest);
        info.blobs.push(form);
        let bytes = to_json(diff_id.as_str(), &info)?;
        let dir = self.layout().layers();
        files::write_record(self.session().tmp(), &dir, diff_id.hex(), &bytes, Durability::Process)
    }

    /// The stat index of a build context, if one was written and is intact.
    pub fn context_index(&self, name: &str) -> Result<Option<Vec<u8>>> {
        files::read_record(&self.layout().contexts().join(encode_name(name)))
    }

    /// Replaces the stat index of a build context. May be lost in a power cut, never torn.
    pub fn put_context_index(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let dir = self.layout().contexts();
        files::write_record(self.session().tmp(), &dir, &encode_name(name), bytes, Durability::Process)
    }

    /// A new, empty, private directory for work in progress. Removed at the latest when the store is closed or,
    /// if this process dies, when it is opened next.
    pub fn temp_dir(&self, prefix: &str) -> Result<PathBuf> {
        use std::os::unix::fs::DirBuilderExt;
        let path = self.session().fresh_path(prefix);
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(Error::io("create", &path))?;
        Ok(path)
    }

    /// Digests that look like `sha256:<hex>` anywhere in `bytes`.
    pub(crate) fn digests_in(bytes: &[u8]) -> Vec<Digest> {
        let mut digests = Vec::new();
        let mut rest = bytes;
        while let Some(start) = rest.windows(7).position(|window| window == b"sha256:") {
            let tail = &rest[start..];
            if let Some(text) = tail.get(..71).and_then(|text| std::str::from_utf8(text).ok())
                && let Ok(digest) = text.parse()
            {
                digests.push(digest);
            }
            rest = &tail[7..];
        }
        digests
    }
}
