//! Parallel gzip whose bytes do not depend on the number of threads.
//!
//! Data is cut into blocks of 1 MiB. Each becomes a gzip member of its own (RFC 1952, section 2.2: a file is a series
//! of members), because libdeflate, which is twice as fast as zlib at the same size, makes whole streams only. A
//! member's header has the extra field `Cp` with the length of the member in bytes (four bytes, little-endian), so that
//! members can be found without inflating those before; [`super::parallel`] reads them.

use std::io::{self, Write};
use std::sync::Arc;

use libdeflater::{CompressionLvl, Compressor};

use super::pool::Pool;

/// Bytes of data in each member but the last.
pub(super) const BLOCK: usize = 1 << 20;
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
    /// Whether a block was ended.
    begun: bool,
    coder: Coder,
}

/// Where blocks are compressed.
enum Coder {
    /// In the caller's thread.
    Here(Compressor),
    /// In threads of their own.
    Pool(Pool<Vec<u8>, Vec<u8>>),
}

impl<W: Write> GzipWriter<W> {
    /// Starts a stream with a level from 0 to 9. One thread, or none, means the caller's.
    pub fn new(inner: W, level: u32, threads: usize) -> io::Result<Self> {
        let level = level.min(9);
        let compressor = move || compressor(level);
        let coder = if threads > 1 {
            let make = Arc::new(move || {
                let mut compressor = compressor();
                move |block: Vec<u8>| member(&mut compressor, &block)
            });
            Coder::Pool(Pool::start("gzip", threads, make)?)
        } else {
            Coder::Here(compressor())
        };
        Ok(Self { inner, level, block: Vec::with_capacity(BLOCK), begun: false, coder })
    }

    /// Compresses what is left, ends the stream and hands back the writer.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() || !self.begun {
            self.end_block()?;
        }
        if let Coder::Pool(pool) = self.coder {
            for done in pool.finish() {
                self.inner.write_all(&done?)?;
            }
        }
        Ok(self.inner)
    }

    fn end_block(&mut self) -> io::Result<()> {
        self.begun = true;
        match &mut self.coder {
            Coder::Here(compressor) => {
                let member = member(compressor, &self.block)?;
                self.block.clear();
                self.inner.write_all(&member)
            }
            Coder::Pool(pool) => {
                let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
                match pool.push(block)? {
                    Some(member) => self.inner.write_all(&member),
                    None => Ok(()),
                }
            }
        }
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let taken = buf.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&buf[..taken]);
        if self.block.len() == BLOCK {
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

fn compressor(level: u32) -> Compressor {
    let level = i32::try_from(level).unwrap_or(9);
    Compressor::new(CompressionLvl::new(level).unwrap_or_default())
}

/// One block as a member.
fn member(compressor: &mut Compressor, block: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEAD + compressor.deflate_compress_bound(block.len()) + TAIL];
    let failed = |_| io::Error::other("deflate did not take its whole block");
    let length = compressor.deflate_compress(block, &mut bytes[HEAD..]).map_err(failed)?;
    bytes.truncate(HEAD + length);
    bytes.extend_from_slice(&libdeflater::crc32(block).to_le_bytes());
    let too_long = |_| io::Error::other("a block is too long");
    bytes.extend_from_slice(&u32::try_from(block.len()).map_err(too_long)?.to_le_bytes());
    let whole = u32::try_from(bytes.len()).map_err(too_long)?;
    bytes[..HEADER.len()].copy_from_slice(&HEADER);
    bytes[HEADER.len()..HEAD].copy_from_slice(&whole.to_le_bytes());
    // Finished blocks may have to wait for slow ones.
    bytes.shrink_to_fit();
    Ok(bytes)
}
