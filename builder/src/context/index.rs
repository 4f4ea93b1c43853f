//! What is known of file contents by their attributes, kept between builds as git keeps its index.
//!
//! An entry is keyed by device and inode and counts only while size, mtime, ctime and mode are the same. A file that
//! was changed so lately that another change might leave the same times ("racily clean") is known in this process, but
//! not written down. An entry that several saved builds did not ask for is dropped.
//!
//! What earlier builds learned stays in the file ([`saved`]), of which only the blocks at hand are in memory. What this
//! one learns is in memory, and in nameless files of the same form when it is much, until it is saved. Readers and writers take no lock: the file is replaced as a whole, and the
//! last writer wins. It is not synced: whatever a power cut leaves of it is found damaged and not believed.

mod saved;

use std::collections::HashMap;
use std::io;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cooper_sys::fs::{Stat, Timestamp};

use saved::{FileWriter, Saved};

/// Longer than the granularity of any filesystem's clock.
const RACY: Duration = Duration::from_secs(2);
/// Saved builds that an entry outlives without being asked for.
const LAST_AGE: u8 = 8;
/// Age of an entry that is never saved.
const RACY_AGE: u8 = u8::MAX;
/// So many learned entries are in memory at most.
const MOST_IN_MEMORY: usize = if cfg!(test) { 50 } else { 1 << 16 };

/// Device and inode.
type Key = (u64, u64);

/// Digests of file contents by file attributes.
#[derive(Debug, Default)]
pub struct StatIndex {
    saved: Option<Saved>,
    /// What was learned and did not fit in memory, newest last.
    spilled: Vec<Saved>,
    learned: HashMap<Key, Entry>,
    changed: bool,
    /// Where files can be made.
    dir: Option<PathBuf>,
}

/// What is known of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    attributes: Attributes,
    digest: [u8; 32],
    /// Saves since it was last used.
    age: u8,
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
        let dir = path.parent().map(Path::to_path_buf);
        StatIndex { saved: Saved::open(path), dir, ..StatIndex::default() }
    }

    /// Number of entries, saved ones and those learned since.
    pub fn len(&self) -> usize {
        let files = self.saved.iter().chain(&self.spilled);
        files.map(Saved::len).sum::<usize>() + self.learned.len()
    }

    /// True if nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Digest of a file with exactly these attributes.
    pub fn get(&mut self, stat: &Stat) -> Option<[u8; 32]> {
        let key = (stat.dev, stat.ino);
        let fits = |entry: &Entry| entry.attributes == stat.into();
        if let Some(entry) = self.learned(key) {
            return fits(&entry).then_some(entry.digest);
        }
        let saved = self.saved.as_mut()?;
        let (place, entry) = saved.find(key).filter(|(_, entry)| fits(entry))?;
        saved.set_used(place);
        Some(entry.digest)
    }

    /// What this process learned of a file.
    fn learned(&mut self, key: Key) -> Option<Entry> {
        let runs = self.spilled.iter_mut().rev();
        self.learned
            .get(&key)
            .copied()
            .or_else(|| runs.map(|run| run.find(key)).find_map(|found| Some(found?.1)))
    }

    /// Takes in a digest of a file that had these attributes before and after it was read.
    pub fn insert(&mut self, stat: &Stat, digest: [u8; 32]) {
        let age = if is_racy(stat) { RACY_AGE } else { 0 };
        self.changed |= age == 0;
        self.learned.insert((stat.dev, stat.ino), Entry { attributes: stat.into(), digest, age });
        if self.learned.len() >= MOST_IN_MEMORY
            && let Some(dir) = &self.dir
            && let Ok(run) = spill(dir, &self.learned)
        {
            self.spilled.push(run);
            self.learned.clear();
        }
    }

    /// False if the file was asked for or hashed in this process when it had another size, mtime or mode. The ctime does
    /// not count: another hard link changes it too.
    pub fn is_current(&mut self, stat: &Stat) -> bool {
        let key = (stat.dev, stat.ino);
        let known = self.learned(key).or_else(|| {
            let saved = self.saved.as_mut()?;
            let (place, entry) = saved.find(key)?;
            saved.is_used(place).then_some(entry)
        });
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
        // The newest first: of several entries for a file the first one counts.
        let mut sources: Vec<Peekable<Source<'_>>> = vec![Source::Memory(sorted(&self.learned)).peekable()];
        for run in self.spilled.iter_mut().rev() {
            sources.push(Source::File { file: run, place: 0, old: false }.peekable());
        }
        if let Some(saved) = &mut self.saved {
            sources.push(Source::File { file: saved, place: 0, old: true }.peekable());
        }
        while let Some(key) = sources.iter_mut().filter_map(|source| Some(source.peek()?.0)).min() {
            let mut newest = None;
            for source in &mut sources {
                newest = newest.or(source.next_if(|(other, _)| *other == key));
            }
            if let Some((_, entry)) = newest
                && entry.age <= LAST_AGE
            {
                writer.put(key, &entry)?;
            }
        }
        drop(sources);
        let file = writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.persist(path)?;
        *self = StatIndex::load(path);
        Ok(())
    }
}

/// Entries in the order of a file.
enum Source<'s> {
    Memory(std::vec::IntoIter<(Key, Entry)>),
    /// Those of an old file get older if nobody asked for them.
    File {
        file: &'s mut Saved,
        place: usize,
        old: bool,
    },
}

impl Iterator for Source<'_> {
    type Item = (Key, Entry);

    fn next(&mut self) -> Option<(Key, Entry)> {
        match self {
            Source::Memory(entries) => entries.next(),
            Source::File { file, place, old } => {
                while *place < file.len() {
                    let (at, read) = (*place, file.read(*place));
                    *place += 1;
                    let Some((key, mut entry)) = read else { continue };
                    if *old {
                        entry.age = if file.is_used(at) { 0 } else { entry.age.saturating_add(1) };
                    }
                    return Some((key, entry));
                }
                None
            }
        }
    }
}

fn sorted(entries: &HashMap<Key, Entry>) -> std::vec::IntoIter<(Key, Entry)> {
    let mut all: Vec<(Key, Entry)> = entries.iter().map(|(key, entry)| (*key, *entry)).collect();
    all.sort_unstable_by_key(|(key, _)| *key);
    all.into_iter()
}

/// Writes entries to a file without a name.
fn spill(dir: &Path, entries: &HashMap<Key, Entry>) -> io::Result<Saved> {
    let mut writer = FileWriter::new(io::BufWriter::new(tempfile::tempfile_in(dir)?));
    for (key, entry) in sorted(entries) {
        writer.put(key, &entry)?;
    }
    let file = writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Saved::of(file).ok_or_else(|| io::Error::other("the file cannot be read back"))
}

/// Changed so lately that the clock of the filesystem may not have moved since. A time in the future is racy too.
fn is_racy(stat: &Stat) -> bool {
    let latest = stat.mtime.max(stat.ctime);
    let Ok(seconds) = u64::try_from(latest.0) else { return false };
    let latest = UNIX_EPOCH + Duration::new(seconds, latest.1);
    SystemTime::now().duration_since(latest).map_or(true, |age| age < RACY)
}
