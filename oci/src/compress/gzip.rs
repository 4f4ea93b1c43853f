//! Parallel gzip whose bytes do not depend on the number of threads.
//!
//! Data is cut into blocks of 1 MiB. Each is deflated by a fresh compressor, primed with the last 32 KiB of
//! the block before, and ends on a byte boundary; an empty final block closes the stream. Reusing compressors
//! would make the bytes depend on which thread took which block. The result is one gzip member.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use flate2::{Compress, Compression, Crc, FlushCompress};

const BLOCK: usize = 1 << 20;
const DICTIONARY: usize = 32 * 1024;
/// Deflate, no flags, no time, no hints, unknown system: as Go writes it.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// A final deflate block without data.
const FINAL_BLOCK: [u8; 2] = [3, 0];

/// Compresses what is written to it with gzip, on several threads. Must be [finished](Self::finish); dropping
/// it leaves a torn stream.
pub struct GzipWriter<W: Write> {
    inner: W,
    level: u32,
    block: Vec<u8>,
    dictionary: Vec<u8>,
    crc: Crc,
    pool: Option<Pool>,
}

/// A block to compress, and where to send the result.
struct Job {
    data: Vec<u8>,
    dictionary: Vec<u8>,
    level: u32,
    reply: SyncSender<io::Result<Deflated>>,
}

struct Deflated {
    bytes: Vec<u8>,
    crc: Crc,
}

/// Threads that compress, and the blocks that they were given, oldest first.
struct Pool {
    jobs: SyncSender<Job>,
    pending: VecDeque<Receiver<io::Result<Deflated>>>,
    max_pending: usize,
    threads: Vec<JoinHandle<()>>,
}

impl<W: Write> GzipWriter<W> {
    /// Starts a stream with a level from 0 to 9. One thread, or none, means the caller's.
    pub fn new(mut inner: W, level: u32, threads: usize) -> io::Result<Self> {
        inner.write_all(&HEADER)?;
        let pool = if threads > 1 { Some(Pool::start(threads)?) } else { None };
        Ok(Self {
            inner,
            level: level.min(9),
            block: Vec::with_capacity(BLOCK),
            dictionary: Vec::new(),
            crc: Crc::new(),
            pool,
        })
    }

    /// Compresses what is left, ends the stream and hands back the writer.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        if let Some(mut pool) = self.pool.take() {
            while let Some(block) = pool.pending.pop_front() {
                self.put(wait(&block)?)?;
            }
            pool.stop();
        }
        self.inner.write_all(&FINAL_BLOCK)?;
        self.inner.write_all(&self.crc.sum().to_le_bytes())?;
        self.inner.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(self.inner)
    }

    fn end_block(&mut self) -> io::Result<()> {
        let data = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        let tail = data[data.len().saturating_sub(DICTIONARY)..].to_vec();
        let dictionary = std::mem::replace(&mut self.dictionary, tail);
        let Some(pool) = &mut self.pool else {
            let block = deflate(&data, &dictionary, self.level)?;
            return self.put(block);
        };
        let done = if pool.pending.len() == pool.max_pending { pool.pending.pop_front() } else { None };
        let (reply, result) = sync_channel(1);
        let job = Job { data, dictionary, level: self.level, reply };
        pool.jobs.send(job).map_err(|_| lost_thread())?;
        pool.pending.push_back(result);
        if let Some(done) = done {
            self.put(wait(&done)?)?;
        }
        Ok(())
    }

    fn put(&mut self, block: Deflated) -> io::Result<()> {
        self.crc.combine(&block.crc);
        self.inner.write_all(&block.bytes)
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

impl Pool {
    fn start(threads: usize) -> io::Result<Self> {
        let threads = threads.min(32);
        // Two blocks a thread: one in work, one that waits.
        let max_pending = threads * 2;
        let (jobs, queue) = sync_channel::<Job>(max_pending);
        let queue = Arc::new(Mutex::new(queue));
        let threads = (0..threads)
            .map(|_| {
                let queue = Arc::clone(&queue);
                std::thread::Builder::new().name("gzip".to_owned()).spawn(move || work(&queue))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { jobs, pending: VecDeque::new(), max_pending, threads })
    }

    fn stop(self) {
        drop(self.jobs);
        for thread in self.threads {
            // A thread that panicked was noticed when its block did not come.
            let _ = thread.join();
        }
    }
}

/// Compresses blocks until no more can come.
fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // Nobody waits if the writer was dropped.
        let _ = job.reply.send(deflate(&job.data, &job.dictionary, job.level));
    }
}

fn wait(result: &Receiver<io::Result<Deflated>>) -> io::Result<Deflated> {
    result.recv().map_err(|_| lost_thread())?
}

fn lost_thread() -> io::Error {
    io::Error::other("a compression thread died")
}

/// Deflates one block up to a byte boundary.
fn deflate(data: &[u8], dictionary: &[u8], level: u32) -> io::Result<Deflated> {
    let mut crc = Crc::new();
    crc.update(data);
    let mut compress = Compress::new(Compression::new(level), false);
    if !dictionary.is_empty() {
        compress.set_dictionary(dictionary).map_err(io::Error::other)?;
    }
    // More than deflate makes of anything at any level, so that one call does it all.
    let mut bytes = Vec::with_capacity(data.len() + data.len() / 8 + 1024);
    compress.compress_vec(data, &mut bytes, FlushCompress::Sync).map_err(io::Error::other)?;
    if compress.total_in() != data.len() as u64 || bytes.len() == bytes.capacity() {
        return Err(io::Error::other("deflate did not take its whole block"));
    }
    // Finished blocks may have to wait for slow ones.
    bytes.shrink_to_fit();
    Ok(Deflated { bytes, crc })
}
