//! What is known of file contents by their attributes, kept between builds as git keeps its index.
//!
//! An entry is keyed by device and inode and counts only while size, mtime, ctime and mode are the same. A file that
//! was changed so lately that another change might leave the same times ("racily clean") is known in this process, but
//! not written down. An entry that several saved builds did not ask for is dropped.
//!
//! What earlier builds learned stays in the file ([`saved`]), of which only the blocks at hand are in memory; what this
//! one learns is in memory until it is saved. Readers and writers take no lock: the file is replaced as a whole, and the
//! last writer wins. It is not synced: whatever a power cut leaves of it is found damaged and not believed.

mod saved;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cooper_sys::fs::{Stat, Timestamp};

use saved::{FileWriter, Saved};

/// Longer than the granularity of any filesystem's clock.
const RACY: Duration = Duration::from_secs(2);
/// Saved builds that an entry outlives without being asked for.
const LAST_AGE: u8 = 8;

/// Device and inode.
type Key = (u64, u64);

/// Digests of file contents by file attributes.
#[derive(Debug, Default)]
pub struct StatIndex {
    saved: Option<Saved>,
    learned: HashMap<Key, Learned>,
    changed: bool,
}

/// What is known of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    attributes: Attributes,
    digest: [u8; 32],
    /// Saves since it was last used.
    age: u8,
}

#[derive(Debug, Clone, Copy)]
struct Learned {
    entry: Entry,
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
    /// Opens an index. One that is missing or damaged is empty.
    pub fn load(path: &Path) -> StatIndex {
        StatIndex { saved: Saved::open(path), ..StatIndex::default() }
    }

    /// Number of entries, saved ones and those learned since.
    pub fn len(&self) -> usize {
        self.saved.as_ref().map_or(0, Saved::len) + self.learned.len()
    }

    /// True if nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Digest of a file with exactly these attributes.
    pub fn get(&mut self, stat: &Stat) -> Option<[u8; 32]> {
        let key = (stat.dev, stat.ino);
        let fits = |entry: &Entry| entry.attributes == stat.into();
        if let Some(learned) = self.learned.get(&key) {
            return fits(&learned.entry).then_some(learned.entry.digest);
        }
        let saved = self.saved.as_mut()?;
        let (place, entry) = saved.find(key).filter(|(_, entry)| fits(entry))?;
        saved.set_used(place);
        Some(entry.digest)
    }

    /// Takes in a digest of a file that had these attributes before and after it was read.
    pub fn insert(&mut self, stat: &Stat, digest: [u8; 32]) {
        let racy = is_racy(stat);
        let entry = Entry { attributes: stat.into(), digest, age: 0 };
        self.learned.insert((stat.dev, stat.ino), Learned { entry, racy });
        self.changed |= !racy;
    }

    /// False if the file was asked for or hashed in this process when it had another size, mtime or mode. The ctime does
    /// not count: another hard link changes it too.
    pub fn is_current(&mut self, stat: &Stat) -> bool {
        let key = (stat.dev, stat.ino);
        let known = match self.learned.get(&key) {
            Some(learned) => Some(learned.entry),
            None => self.saved.as_mut().and_then(|saved| {
                let (place, entry) = saved.find(key)?;
                saved.is_used(place).then_some(entry)
            }),
        };
        known.is_none_or(|entry| {
            let ctime = entry.attributes.ctime;
            entry.attributes == Attributes { ctime, ..stat.into() }
        })
    }

    /// Writes the index as a whole, if it learned anything, and forgets what it learned.
    pub fn save(&mut self, path: &Path) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let (Some(dir), Some(_)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(dir)?;
        let mut writer = FileWriter::new(io::BufWriter::new(file));
        let mut learned: Vec<(Key, Learned)> = self.learned.drain().collect();
        learned.sort_unstable_by_key(|(key, _)| *key);
        let mut new = learned.into_iter().peekable();
        let mut put_before = |writer: &mut FileWriter<_>, end: Option<Key>| {
            while let Some((key, learned)) = new.next_if(|(key, _)| end.is_none_or(|end| *key <= end)) {
                if !learned.racy {
                    writer.put(key, &learned.entry)?;
                }
                if Some(key) == end {
                    return Ok(true);
                }
            }
            Ok::<_, io::Error>(false)
        };
        if let Some(saved) = &mut self.saved {
            for place in 0..saved.len() {
                let Some((key, mut entry)) = saved.read(place) else { continue };
                let replaced = put_before(&mut writer, Some(key))?;
                entry.age = if saved.is_used(place) { 0 } else { entry.age.saturating_add(1) };
                if !replaced && entry.age <= LAST_AGE {
                    writer.put(key, &entry)?;
                }
            }
        }
        put_before(&mut writer, None)?;
        let file = writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.persist(path)?;
        *self = StatIndex::load(path);
        Ok(())
    }
}

/// Changed so lately that the clock of the filesystem may not have moved since. A time in the future is racy too.
fn is_racy(stat: &Stat) -> bool {
    let latest = stat.mtime.max(stat.ctime);
    let Ok(seconds) = u64::try_from(latest.0) else { return false };
    let latest = UNIX_EPOCH + Duration::new(seconds, latest.1);
    SystemTime::now().duration_since(latest).map_or(true, |age| age < RACY)
}
