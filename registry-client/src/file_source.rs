//! A file as the source of a push.
//!
//! What of it is in the page cache is read where the connection is served, by reads that do not wait: handing each part
//! from thread to thread costs more than reading it. What must come from a disk is waited for elsewhere.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::{ReadWriteFlags, preadv2};

use crate::blocking::blocking;
use crate::buffers::Buffers;
use crate::source::{BlobSource, ByteStream};

/// A file that is opened by its path each time.
#[derive(Debug, Clone)]
pub struct FileSource(pub PathBuf);

impl BlobSource for FileSource {
    async fn open(&self, offset: u64) -> io::Result<ByteStream> {
        let path = self.0.clone();
        let file = blocking(move || File::open(path)).await??;
        let reading = Reading { file: Arc::new(file), at: offset, buffers: Buffers::default() };
        Ok(Box::pin(futures_util::stream::try_unfold(reading, Reading::next)))
    }
}

struct Reading {
    file: Arc<File>,
    at: u64,
    buffers: Buffers,
}

impl Reading {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let at = self.at;
        let cached = self.buffers.fill(|buffer| read_cached(&self.file, buffer, at));
        let part = if let Ok(part) = cached {
            part
        } else {
            // Not in memory, or of a filesystem that cannot tell.
            let (file, buffers) = (self.file.clone(), self.buffers.clone());
            blocking(move || buffers.fill(|buffer| read(&file, buffer, at))).await??
        };
        self.at += part.len() as u64;
        Ok(if part.is_empty() { None } else { Some((part, self)) })
    }
}

/// Reads without waiting for a disk; an error if there is nothing to be had without.
fn read_cached(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    Ok(preadv2(file, &mut [io::IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT)?)
}

fn read(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, at) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
