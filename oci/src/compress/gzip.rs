//! Parallel gzip whose bytes do not depend on the number of threads.
//!
//! Data is cut into blocks of 1 MiB, and the content of a large file in a tar stream into blocks of 256 KiB of its own; both,
//! where they hold noise, into smaller pieces. Each becomes a gzip member (RFC 1952, section 2.2: a file is a series of
//! members), because libdeflate, which is twice as fast as zlib at the same size, makes whole streams only. A member's header has the extra field `Cp` with the length of the member in bytes (four bytes, little-endian), so that
//! members can be found without inflating those before; [`super::parallel`] reads them.

use std::io::{self, Write};
use std::sync::Arc;

use libdeflater::{CompressionLvl, Compressor};

use super::Prepared;
use super::follow::Follower;
use super::noise::{self, Piece};
use super::pool::Pool;

/// Bytes of data in one member at most.
pub(super) const BLOCK: usize = 1 << 20;
/// The same in the content of a large file. So small that a change in it leaves most blocks as they were, and so large
/// that blobs grow by a third of a percent only.
pub(super) const LARGE_BLOCK: usize = 256 << 10;
/// Deflate, an extra field, no time, no hints, unknown system; an extra field of eight bytes; `Cp` with four bytes.
pub(super) const HEADER: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 8, 0, b'C', b'p', 4, 0];
/// Bytes before the deflate stream: the header and the member's length.
pub(super) const HEAD: usize = HEADER.len() + 4;
/// Bytes behind it: CRC-32 and length of the data.
pub(super) const TAIL: usize = 8;

/// Compresses what is written to it with gzip, on several threads. Must be [finished](Self::finish); dropping
/// it leaves a torn stream.
pub struct GzipWriter<W: Write> {
    inner: W,
    level: u32,
    block: Vec<u8>,
    /// Of a block that is done, for the next one.
    spare: Vec<u8>,
    tar: Follower,
    /// Whether a block was ended.
    begun: bool,
    coder: Coder,
}

/// Blocks a thread that wait, if they are so small that together they are no larger than two large ones.
const MOST_WAITING: usize = 8;

/// A block, and the members that it became.
type Done = (Vec<u8>, Vec<u8>);

/// Where blocks are compressed.
enum Coder {
    /// In the caller's thread.
    Here(Box<Deflater>),
    /// In threads of their own.
    Pool {
        pool: Pool<Vec<u8>, Done>,
        /// Bytes of blocks whose members were not written yet, and how many of them there may be.
        waiting: usize,
        most: usize,
    },
}

impl<W: Write> GzipWriter<W> {
    /// Starts a stream with a level from 0 to 9. One thread, or none, means the caller's.
    pub fn new(inner: W, level: u32, threads: usize) -> io::Result<Self> {
        Self::with(inner, level, threads, None)
    }

    /// As [`new`](Self::new), with blocks that were prepared.
    pub(super) fn with(
        inner: W,
        level: u32,
        threads: usize,
        prepared: Option<Arc<Prepared>>,
    ) -> io::Result<Self> {
        let level = level.min(9);
        let coder = if threads > 1 {
            let make = Arc::new(move || {
                let (mut deflater, prepared) = (Deflater::new(level), prepared.clone());
                move |block: Vec<u8>| {
                    let members = match prepared.as_ref().and_then(|prepared| prepared.find(&block)) {
                        Some(members) => members,
                        None => deflater.members(&block)?,
                    };
                    Ok((block, members))
                }
            });
            let pool = Pool::start("gzip", threads, MOST_WAITING, make)?;
            Coder::Pool { most: pool.threads() * 2 * BLOCK, waiting: 0, pool }
        } else {
            Coder::Here(Box::new(Deflater::new(level)))
        };
        let (block, tar) = (Vec::with_capacity(BLOCK), Follower::new());
        Ok(Self { inner, level, block, spare: Vec::new(), tar, begun: false, coder })
    }

    /// Compresses what is left, ends the stream and hands back the writer.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() || !self.begun {
            self.end_block()?;
        }
        if let Coder::Pool { pool, .. } = self.coder {
            for done in pool.finish() {
                self.inner.write_all(&done?.1)?;
            }
        }
        Ok(self.inner)
    }

    fn end_block(&mut self) -> io::Result<()> {
        self.begun = true;
        match &mut self.coder {
            Coder::Here(deflater) => {
                let members = deflater.members(&self.block)?;
                self.block.clear();
                self.inner.write_all(&members)
            }
            Coder::Pool { pool, waiting, most } => {
                let block = std::mem::replace(&mut self.block, std::mem::take(&mut self.spare));
                *waiting += block.len();
                let mut done = pool.push(block)?;
                loop {
                    if let Some((mut block, members)) = done {
                        *waiting -= block.len();
                        block.clear();
                        self.spare = block;
                        self.inner.write_all(&members)?;
                    }
                    if *waiting <= *most {
                        return Ok(());
                    }
                    done = pool.pop().transpose()?;
                }
            }
        }
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        // Whatever stood before the content of a large file is in a block that has ended.
        let most = if self.tar.is_in_large() { LARGE_BLOCK } else { BLOCK };
        let room = buf.len().min(most - self.block.len());
        let taken = self.tar.advance(&buf[..room]);
        self.block.extend_from_slice(&buf[..taken]);
        if self.block.len() == most || self.tar.is_at_cut() {
            self.end_block()?;
        }
        Ok(taken)
    }

    /// Flushes the writer underneath; a started block stays here.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> std::fmt::Debug for GzipWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GzipWriter").field("level", &self.level).finish_non_exhaustive()
    }
}

/// Makes members.
pub(super) struct Deflater {
    compressor: Compressor,
    /// Puts blocks into a stream as they are.
    store: Compressor,
    /// Where deflate writes.
    room: Vec<u8>,
}

impl Deflater {
    pub(super) fn new(level: u32) -> Self {
        let make = |level| Compressor::new(CompressionLvl::new(level).unwrap_or_default());
        Self { compressor: make(i32::try_from(level).unwrap_or(9)), store: make(0), room: Vec::new() }
    }

    /// One block as members: what is noise is stored in members of its own.
    pub(super) fn members(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for Piece { range, noise } in noise::pieces(block) {
            self.member(&block[range], noise, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// Appends one member.
    fn member(&mut self, data: &[u8], noise: bool, bytes: &mut Vec<u8>) -> io::Result<()> {
        let compressor = if noise { &mut self.store } else { &mut self.compressor };
        let bound = compressor.deflate_compress_bound(data.len());
        if self.room.len() < bound {
            self.room.resize(bound, 0);
        }
        let length = compressor.deflate_compress(data, &mut self.room).map_err(no_room)?;
        let whole = HEAD + length + TAIL;
        let too_long = |_| io::Error::other("a block is too long");
        // Finished blocks may have to wait for slow ones.
        bytes.reserve_exact(whole);
        bytes.extend_from_slice(&HEADER);
        bytes.extend_from_slice(&u32::try_from(whole).map_err(too_long)?.to_le_bytes());
        bytes.extend_from_slice(&self.room[..length]);
        bytes.extend_from_slice(&libdeflater::crc32(data).to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(data.len()).map_err(too_long)?.to_le_bytes());
        Ok(())
    }
}

fn no_room(_: libdeflater::CompressionError) -> io::Error {
    io::Error::other("deflate did not take its whole block")
}
