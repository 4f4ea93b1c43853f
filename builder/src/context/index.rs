//! What is known of file contents by their attributes, kept between builds as git keeps its index.
//!
//! An entry is keyed by device and inode and counts only while size, mtime, ctime and mode are the same. A file that
//! was changed so lately that another change might leave the same times ("racily clean") is known in this process, but
//! not written down. An entry that several saved builds did not ask for is dropped.
//!
//! File format, little-endian: the magic line; the number of entries as u64; entries of 97 bytes sorted by device and
//! inode; BLAKE3 of all before it. Anything else, or an unknown version, reads as an empty index. Readers and writers
//! take no lock: the file is replaced as a whole, and the last writer wins.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cooper_sys::fs::{self, Stat, Timestamp};

const MAGIC: &[u8] = b"cooper stat index 1\n";
const ENTRY_BYTES: usize = 97;
/// Longer than the granularity of any filesystem's clock.
const RACY: Duration = Duration::from_secs(2);
/// Saved builds that an entry outlives without being asked for.
const LAST_AGE: u8 = 8;
/// A file beyond this is not ours.
const MAX_BYTES: u64 = 1 << 30;

/// Digests of file contents by file attributes.
#[derive(Debug, Clone, Default)]
pub struct StatIndex {
    entries: HashMap<(u64, u64), Entry>,
    changed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    attributes: Attributes,
    digest: [u8; 32],
    /// Saves since it was last used.
    age: u8,
    used: bool,
    racy: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attributes {
    size: u64,
    mtime: Timestamp,
    ctime: Timestamp,
    mode: u32,
}

impl From<&Stat> for Attributes {
    fn from(stat: &Stat) -> Attributes {
        Attributes { size: stat.size, mtime: stat.mtime, ctime: stat.ctime, mode: stat.mode }
    }
}

impl StatIndex {
    /// Reads an index. One that is missing or damaged is empty.
    pub fn load(path: &Path) -> StatIndex {
        let small = std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_BYTES);
        let bytes = if small { std::fs::read(path).unwrap_or_default() } else { Vec::new() };
        StatIndex { entries: decode(&bytes).unwrap_or_default(), changed: false }
    }

    /// Number of files known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if nothing is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Digest of a file with exactly these attributes.
    pub fn get(&mut self, stat: &Stat) -> Option<[u8; 32]> {
        let entry = self.entries.get_mut(&(stat.dev, stat.ino))?;
        if entry.attributes != stat.into() {
            return None;
        }
        entry.used = true;
        Some(entry.digest)
    }

    /// Takes in a digest of a file that had these attributes before and after it was read.
    pub fn insert(&mut self, stat: &Stat, digest: [u8; 32]) {
        let racy = is_racy(stat);
        let entry = Entry { attributes: stat.into(), digest, age: 0, used: true, racy };
        self.entries.insert((stat.dev, stat.ino), entry);
        self.changed |= !racy;
    }

    /// False if the file was asked for or hashed in this process when it had another size, mtime or mode. The ctime does
    /// not count: another hard link changes it too.
    pub fn is_current(&self, stat: &Stat) -> bool {
        self.entries.get(&(stat.dev, stat.ino)).is_none_or(|entry| {
            let ctime = entry.attributes.ctime;
            !entry.used || entry.attributes == Attributes { ctime, ..stat.into() }
        })
    }

    /// Writes the index as a whole, if it learned anything.
    pub fn save(&mut self, path: &Path) -> cooper_sys::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        fs::write_atomic(dir, name, &self.encode())?;
        self.changed = false;
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let aged = |entry: &Entry| if entry.used { 0 } else { entry.age.saturating_add(1) };
        let mut kept: Vec<_> =
            self.entries.iter().filter(|(_, entry)| !entry.racy && aged(entry) <= LAST_AGE).collect();
        kept.sort_unstable_by_key(|(key, _)| **key);
        let mut out = Vec::with_capacity(MAGIC.len() + 8 + kept.len() * ENTRY_BYTES + 32);
        out.extend_from_slice(MAGIC);
        out.extend((kept.len() as u64).to_le_bytes());
        for ((dev, ino), entry) in kept {
            let attributes = &entry.attributes;
            out.extend(dev.to_le_bytes());
            out.extend(ino.to_le_bytes());
            out.extend(attributes.size.to_le_bytes());
            for (seconds, nanoseconds) in [attributes.mtime, attributes.ctime] {
                out.extend(seconds.to_le_bytes());
                out.extend(u64::from(nanoseconds).to_le_bytes());
            }
            out.extend(u64::from(attributes.mode).to_le_bytes());
            out.extend(entry.digest);
            out.push(aged(entry));
        }
        let seal = blake3::hash(&out);
        out.extend(seal.as_bytes());
        out
    }
}

fn decode(bytes: &[u8]) -> Option<HashMap<(u64, u64), Entry>> {
    let (body, seal) = bytes.split_last_chunk::<32>()?;
    if blake3::hash(body) != blake3::Hash::from(*seal) {
        return None;
    }
    let mut fields = Fields(body.strip_prefix(MAGIC)?);
    let count = usize::try_from(fields.u64()?).ok()?;
    if fields.0.len() != count.checked_mul(ENTRY_BYTES)? {
        return None;
    }
    let mut entries = HashMap::with_capacity(count);
    for _ in 0..count {
        let key = (fields.u64()?, fields.u64()?);
        let size = fields.u64()?;
        let mtime = (fields.u64()?.cast_signed(), u32::try_from(fields.u64()?).ok()?);
        let ctime = (fields.u64()?.cast_signed(), u32::try_from(fields.u64()?).ok()?);
        let mode = u32::try_from(fields.u64()?).ok()?;
        let digest = fields.take::<32>()?;
        let [age] = fields.take::<1>()?;
        let attributes = Attributes { size, mtime, ctime, mode };
        entries.insert(key, Entry { attributes, digest, age, used: false, racy: false });
    }
    Some(entries)
}

struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// Changed so lately that the clock of the filesystem may not have moved since. A time in the future is racy too.
fn is_racy(stat: &Stat) -> bool {
    let latest = stat.mtime.max(stat.ctime);
    let Ok(seconds) = u64::try_from(latest.0) else { return false };
    let latest = UNIX_EPOCH + Duration::new(seconds, latest.1);
    SystemTime::now().duration_since(latest).map_or(true, |age| age < RACY)
}
