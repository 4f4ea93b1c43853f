//! Members that are compressed before the stream comes to them.
//!
//! Blocks are found by the hash of their data, so that one that was prepared in vain is only lost time. Their compressed
//! bytes wait in a file.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::encode::DEFAULT_GZIP_LEVEL;
use super::follow::LARGE;
use super::gzip::{BLOCK, Deflater};

/// Blocks of large files for one gzip stream.
pub struct Prepared {
    file: File,
    level: u32,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    /// Place and length in the file by the hash of the data.
    known: HashMap<[u8; 32], (u64, usize)>,
    end: u64,
}

impl Prepared {
    /// Bytes of data in a block. The last, shorter one of a file is never asked for.
    pub const BLOCK: usize = BLOCK;
    /// Blocks of smaller files are never asked for.
    pub const SMALLEST_FILE: u64 = LARGE;

    /// Will keep compressed bytes in an empty file, for a gzip stream of this level.
    pub fn new(file: File, level: Option<i32>) -> Self {
        let level = level.unwrap_or(DEFAULT_GZIP_LEVEL).unsigned_abs().min(9);
        Self { file, level, members: Mutex::default() }
    }

    /// Compresses a block, one of those that a large file has at multiples of their size.
    pub fn prepare(&self, block: &[u8]) -> io::Result<()> {
        let key = Sha256::digest(block).into();
        if self.members().known.contains_key(&key) {
            return Ok(());
        }
        let bytes = Deflater::new(self.level).members(block)?;
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
        if block.len() != BLOCK || self.members().known.is_empty() {
            return None;
        }
        let key: [u8; 32] = Sha256::digest(block).into();
        let (place, length) = self.members().known.get(&key).copied()?;
        let mut bytes = vec![0; length];
        // What cannot be read is compressed again.
        self.file.read_exact_at(&mut bytes, place).ok()?;
        Some(bytes)
    }

    fn members(&self) -> std::sync::MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("level", &self.level).finish_non_exhaustive()
    }
}
