//! Members that are compressed before the stream comes to them.
//!
//! Blocks are found by the hash of their data, so that one that was prepared in vain is only lost time. Their compressed
//! bytes wait in a file.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use super::encode::DEFAULT_GZIP_LEVEL;
use super::follow::{LARGE, PADDED_TO};
use super::gzip::{Deflater, LARGE_BLOCK};

/// Blocks of large files for one gzip stream.
pub struct Prepared {
    file: File,
    /// Of whoever prepares.
    deflater: Mutex<Deflater>,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    /// Place and length in the file by the hash of the data.
    known: HashMap<[u8; 32], (u64, usize)>,
    end: u64,
}

impl Prepared {
    /// Bytes of data in a block. The last one of a file is shorter, and followed by zeros: see [`padded`](Self::padded).
    pub const BLOCK: usize = LARGE_BLOCK;
    /// Blocks of smaller files are never asked for.
    pub const SMALLEST_FILE: u64 = LARGE;

    /// Will keep compressed bytes in an empty file, for a gzip stream of this level.
    pub fn new(file: File, level: Option<i32>) -> Self {
        let level = level.unwrap_or(DEFAULT_GZIP_LEVEL).unsigned_abs().min(9);
        Self { file, deflater: Mutex::new(Deflater::new(level)), members: Mutex::default() }
    }

    /// The length of a block with so many bytes of a file.
    pub fn padded(length: usize) -> usize {
        length.next_multiple_of(PADDED_TO)
    }

    /// Compresses a block, one of those that a large file has at multiples of their size.
    pub fn prepare(&self, block: &[u8]) -> io::Result<()> {
        let key = key(block);
        if self.members().known.contains_key(&key) {
            return Ok(());
        }
        let bytes = self.deflater.lock().unwrap_or_else(PoisonError::into_inner).members(block)?;
        let mut members = self.members();
        let place = members.end;
        members.end += bytes.len() as u64;
        drop(members);
        self.file.write_all_at(&bytes, place)?;
        self.members().known.insert(key, (place, bytes.len()));
        Ok(())
    }

    /// The members of a block, if they are there.
    pub(super) fn find(&self, block: &[u8]) -> Option<Vec<u8>> {
        if block.len() > LARGE_BLOCK || self.members().known.is_empty() {
            return None;
        }
        let (place, length) = self.members().known.get(&key(block)).copied()?;
        let mut bytes = vec![0; length];
        // What cannot be read is compressed again.
        self.file.read_exact_at(&mut bytes, place).ok()?;
        Some(bytes)
    }

    fn members(&self) -> std::sync::MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(block: &[u8]) -> [u8; 32] {
    *blake3::hash(block).as_bytes()
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}
