//! Decompression in other threads than the reader's.
//!
//! Streams of [`super::GzipWriter`] say how long their members are, and are inflated on several threads; all others
//! are decompressed in one thread while the caller works on what came before. Either holds a few MiB.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use flate2::bufread::MultiGzDecoder;
use libdeflater::Decompressor;

use super::gzip::{BLOCK, HEAD, HEADER, TAIL};
use super::pool::Pool;
use super::{Compression, Decoder};

/// Compressed bytes read at once.
const BUFFER: usize = 256 * 1024;
/// Decompressed bytes handed over at once, and how often before the caller must have taken some.
const PART: usize = 256 * 1024;
const PARTS: usize = 8;
/// No member of ours is longer.
const MAX_MEMBER: usize = BLOCK + BLOCK / 8;

/// Reads what is compressed as said, decompressing it in other threads, `threads` at most. Errors come out where
/// the reader meets them. Where members end is believed as they say it: a caller who cannot trust the stream checks
/// a digest of what comes out, as is done with layers.
pub fn threaded_decoder(
    reader: impl Read + Send + 'static,
    compression: Compression,
    threads: usize,
) -> io::Result<Box<dyn Read + Send>> {
    if compression == Compression::None {
        return Ok(Box::new(reader));
    }
    let mut reader = BufReader::with_capacity(BUFFER, reader);
    if compression == Compression::Gzip && reader.fill_buf()?.starts_with(&HEADER) {
        return Ok(Box::new(Members::new(reader, threads)?));
    }
    let decoder = Decoder::new(reader, compression.into())?;
    Ok(Box::new(Ahead::start(decoder)?))
}

/// What follows members that say how long they are: the head of the first one that does not, and all behind it.
type Rest<R> = MultiGzDecoder<Chain<Cursor<Vec<u8>>, R>>;

/// Inflates members that say how long they are; from the first one on that does not, a plain decoder goes on.
struct Members<R: BufRead> {
    inner: Option<R>,
    pool: Pool<Vec<u8>, Vec<u8>>,
    block: Cursor<Vec<u8>>,
    rest: Option<Box<Rest<R>>>,
}

impl<R: BufRead> Members<R> {
    fn new(inner: R, threads: usize) -> io::Result<Self> {
        let make = Arc::new(|| {
            let mut decompressor = Decompressor::new();
            move |member: Vec<u8>| inflate(&mut decompressor, &member)
        });
        let pool = Pool::start("gunzip", threads, 2, make)?;
        Ok(Self { inner: Some(inner), pool, block: Cursor::default(), rest: None })
    }

    /// Gives the threads as much as they take.
    fn feed(&mut self) -> io::Result<()> {
        while !self.pool.is_full() {
            let Some(inner) = &mut self.inner else { return Ok(()) };
            let mut member = Vec::with_capacity(BUFFER);
            inner.by_ref().take(HEAD as u64).read_to_end(&mut member)?;
            if member.is_empty() {
                self.inner = None;
                return Ok(());
            }
            if let Some(length) = length(&member) {
                inner.by_ref().take((length - HEAD) as u64).read_to_end(&mut member)?;
                if member.len() == length && data_length(&member) <= BLOCK {
                    self.pool.push(member)?;
                    continue;
                }
            }
            self.rest = self
                .inner
                .take()
                .map(|inner| Box::new(MultiGzDecoder::new(Cursor::new(member).chain(inner))));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.block.read(buf)?;
            if count > 0 || buf.is_empty() {
                return Ok(count);
            }
            self.feed()?;
            match (self.pool.pop(), &mut self.rest) {
                (Some(block), _) => self.block = Cursor::new(block?),
                (None, Some(rest)) => return rest.read(buf),
                (None, None) => return Ok(0),
            }
        }
    }
}

/// The length of a member that begins like ours.
fn length(head: &[u8]) -> Option<usize> {
    let length: [u8; 4] = head.strip_prefix(&HEADER)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(length)).ok().filter(|n| (HEAD + TAIL + 1..=MAX_MEMBER).contains(n))
}

/// The number of bytes that a member holds, as it says itself.
fn data_length(member: &[u8]) -> usize {
    let length = member.last_chunk::<4>().map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes));
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Inflates and checks one member.
fn inflate(decompressor: &mut Decompressor, member: &[u8]) -> io::Result<Vec<u8>> {
    let mut data = vec![0; data_length(member)];
    let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let count = decompressor
        .gzip_decompress(member, &mut data)
        .map_err(|e| damaged(format!("a gzip member is damaged: {e}")))?;
    if count != data.len() {
        return Err(damaged("a gzip member holds less than it says".to_owned()));
    }
    Ok(data)
}

/// Reads in a thread of its own, some parts ahead of the caller.
struct Ahead {
    parts: Receiver<io::Result<Vec<u8>>>,
    part: Cursor<Vec<u8>>,
    ended: bool,
}

impl Ahead {
    fn start(mut reader: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, parts) = sync_channel(PARTS);
        std::thread::Builder::new().name("decompress".to_owned()).spawn(move || {
            loop {
                let mut part = Vec::with_capacity(PART);
                let result = reader.by_ref().take(PART as u64).read_to_end(&mut part);
                // What came before an error is the caller's, too. An empty part is the end.
                let last = part.is_empty();
                if (!last || result.is_ok()) && sender.send(Ok(part)).is_err() {
                    return;
                }
                if let Err(error) = result {
                    // Nobody waits if the caller was dropped.
                    let _ = sender.send(Err(error));
                    return;
                }
                if last {
                    return;
                }
            }
        })?;
        Ok(Self { parts, part: Cursor::default(), ended: false })
    }
}

impl Read for Ahead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.part.read(buf)?;
            if count > 0 || buf.is_empty() {
                return Ok(count);
            }
            if self.ended {
                return Ok(0);
            }
            let part = self.parts.recv().map_err(|_| io::Error::other("a decompression thread died"))??;
            self.ended = part.is_empty();
            self.part = Cursor::new(part);
        }
    }
}
