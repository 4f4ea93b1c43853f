//! The file of an index: sorted entries in sealed blocks, of which only those at hand are read.
//!
//! Format, little-endian: blocks of 4096 bytes; the key of each block's first entry; the number of entries as u64; BLAKE3
//! of all after the blocks up to here; the magic line. A block is 48 entries of 85 bytes, sorted by device and inode and
//! filled up with zeros, and the first 16 bytes of the BLAKE3 of its number and its entries. An entry is device, inode,
//! size, mtime, ctime (each as i64 seconds and u32 nanoseconds), mode as u32, digest, age.
//!
//! A damaged block knows nothing; a file whose end is damaged, or of another version, is no index.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::{Attributes, Entry, Key};

const MAGIC: &[u8; 20] = b"cooper stat index 2\n";
const BLOCK_BYTES: usize = 4096;
const ENTRY_BYTES: usize = 85;
const ENTRIES: usize = 48;
const SEAL_BYTES: usize = 16;
const KEY_BYTES: usize = 16;
const FOOT_BYTES: usize = 8 + 32 + MAGIC.len();
/// A file beyond this is not ours.
const MAX_BYTES: u64 = 4 << 30;
/// Blocks in memory: neighbours in a tree mostly have neighbouring inodes.
const CACHED: usize = 64;

const _: () = assert!(ENTRIES * ENTRY_BYTES + SEAL_BYTES == BLOCK_BYTES);

/// An open index file.
#[derive(Debug)]
pub(super) struct Saved {
    file: File,
    /// First key of each block.
    firsts: Vec<Key>,
    count: usize,
    /// One bit an entry.
    used: Vec<u64>,
    /// By block number modulo its length.
    cache: Vec<Option<Block>>,
}

#[derive(Debug)]
struct Block {
    number: usize,
    /// Empty if it is damaged.
    entries: Vec<(Key, Entry)>,
}

impl Saved {
    /// Opens an index file; `None` if there is none, or no good one.
    pub fn open(path: &Path) -> Option<Saved> {
        Saved::of(File::open(path).ok()?)
    }

    /// The same of a file that is open.
    pub fn of(file: File) -> Option<Saved> {
        let size = file.metadata().ok().filter(|meta| meta.is_file() && meta.len() <= MAX_BYTES)?.len();
        let foot_at = size.checked_sub(FOOT_BYTES as u64)?;
        let mut foot = [0; FOOT_BYTES];
        file.read_exact_at(&mut foot, foot_at).ok()?;
        let mut fields = Fields(&foot);
        let count = usize::try_from(fields.u64()?).ok()?;
        let seal = fields.take::<32>()?;
        if fields.0 != MAGIC {
            return None;
        }
        let blocks = count.div_ceil(ENTRIES);
        let keys_at = (blocks as u64).checked_mul(BLOCK_BYTES as u64)?;
        if keys_at.checked_add((blocks as u64).checked_mul(KEY_BYTES as u64)?)? != foot_at {
            return None;
        }
        let mut keys = vec![0; blocks * KEY_BYTES];
        file.read_exact_at(&mut keys, keys_at).ok()?;
        if seal_of_end(&keys, count as u64) != seal {
            return None;
        }
        let mut fields = Fields(&keys);
        let firsts = (0..blocks).map(|_| fields.key()).collect::<Option<Vec<Key>>>()?;
        let cache = (0..CACHED.min(blocks)).map(|_| None).collect();
        Some(Saved { file, firsts, count, used: vec![0; count.div_ceil(64)], cache })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The entry of a file, and its place.
    pub fn find(&mut self, key: Key) -> Option<(usize, Entry)> {
        let number = self.firsts.partition_point(|first| *first <= key).checked_sub(1)?;
        let entries = self.block(number);
        let at = entries.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some((number * ENTRIES + at, entries[at].1))
    }

    /// The entry at a place; `None` if its block is damaged.
    pub fn read(&mut self, place: usize) -> Option<(Key, Entry)> {
        self.block(place / ENTRIES).get(place % ENTRIES).copied()
    }

    pub fn set_used(&mut self, place: usize) {
        if let Some(word) = self.used.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    pub fn is_used(&self, place: usize) -> bool {
        self.used.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    fn block(&mut self, number: usize) -> &[(Key, Entry)] {
        let slots = self.cache.len();
        let Some(slot) = self.cache.get_mut(number % slots.max(1)) else { return &[] };
        if slot.as_ref().is_none_or(|block| block.number != number) {
            let expected = (self.count - number * ENTRIES).min(ENTRIES);
            let entries = read_block(&self.file, number, expected).unwrap_or_default();
            *slot = Some(Block { number, entries });
        }
        slot.as_ref().map_or(&[], |block| &block.entries)
    }
}

fn read_block(file: &File, number: usize, count: usize) -> Option<Vec<(Key, Entry)>> {
    let mut bytes = [0; BLOCK_BYTES];
    file.read_exact_at(&mut bytes, number as u64 * BLOCK_BYTES as u64).ok()?;
    let (body, seal) = bytes.split_last_chunk::<SEAL_BYTES>()?;
    if seal_of_block(number as u64, body) != *seal {
        return None;
    }
    let mut fields = Fields(body);
    (0..count).map(|_| fields.entry()).collect()
}

fn seal_of_block(number: u64, body: &[u8]) -> [u8; SEAL_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(body);
    let mut seal = [0; SEAL_BYTES];
    hasher.finalize_xof().fill(&mut seal);
    seal
}

fn seal_of_end(keys: &[u8], count: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(keys);
    hasher.update(&count.to_le_bytes());
    *hasher.finalize().as_bytes()
}

/// Writes an index file, entry by entry in their order.
pub(super) struct FileWriter<W> {
    inner: W,
    block: Vec<u8>,
    keys: Vec<u8>,
    count: u64,
}

impl<W: Write> FileWriter<W> {
    pub fn new(inner: W) -> Self {
        FileWriter { inner, block: Vec::with_capacity(BLOCK_BYTES), keys: Vec::new(), count: 0 }
    }

    pub fn put(&mut self, key: Key, entry: &Entry) -> io::Result<()> {
        let (dev, ino) = (key.0.to_le_bytes(), key.1.to_le_bytes());
        if self.block.is_empty() {
            self.keys.extend(dev);
            self.keys.extend(ino);
        }
        let attributes = &entry.attributes;
        self.block.extend(dev);
        self.block.extend(ino);
        self.block.extend(attributes.size.to_le_bytes());
        for (seconds, nanoseconds) in [attributes.mtime, attributes.ctime] {
            self.block.extend(seconds.to_le_bytes());
            self.block.extend(nanoseconds.to_le_bytes());
        }
        self.block.extend(attributes.mode.to_le_bytes());
        self.block.extend(entry.digest);
        self.block.push(entry.age);
        self.count += 1;
        if self.block.len() == ENTRIES * ENTRY_BYTES { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> io::Result<()> {
        let number = (self.count - 1) / ENTRIES as u64;
        self.block.resize(ENTRIES * ENTRY_BYTES, 0);
        let seal = seal_of_block(number, &self.block);
        self.block.extend(seal);
        self.inner.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }

    /// Ends the file and hands back the writer.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        self.inner.write_all(&self.keys)?;
        self.inner.write_all(&self.count.to_le_bytes())?;
        self.inner.write_all(&seal_of_end(&self.keys, self.count))?;
        self.inner.write_all(MAGIC)?;
        Ok(self.inner)
    }
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

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn key(&mut self) -> Option<Key> {
        Some((self.u64()?, self.u64()?))
    }

    fn entry(&mut self) -> Option<(Key, Entry)> {
        let key = self.key()?;
        let size = self.u64()?;
        let mtime = (self.u64()?.cast_signed(), self.u32()?);
        let ctime = (self.u64()?.cast_signed(), self.u32()?);
        let mode = self.u32()?;
        let digest = self.take::<32>()?;
        let [age] = self.take::<1>()?;
        Some((key, Entry { attributes: Attributes { size, mtime, ctime, mode }, digest, age }))
    }
}
