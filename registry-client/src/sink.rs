//! Where pulled bytes go.
//!
//! Owns the [`BlobSink`] trait and its adapters. A sink gets a blob's bytes once and in order; only
//! when the whole turned out wrong is it asked to start over. The digest is checked by the pull, not
//! here: what a sink holds is worth nothing until the pull has returned `Ok`.

use std::fs::File;
use std::future::Future;
use std::io::{self, Seek as _, Write};

use bytes::Bytes;
use cooper_oci::Digest;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use crate::blocking::blocking;

/// Takes a blob's bytes.
pub trait BlobSink: Send {
    /// Takes the next bytes.
    fn write(&mut self, chunk: Bytes) -> impl Future<Output = io::Result<()>> + Send;

    /// Forgets all bytes, because they were wrong; an error of kind `Unsupported` if that cannot be
    /// done, which makes the pull fail instead.
    fn restart(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// The digest of all bytes, if the sink makes it out itself; the pull then does not hash them, too.
    fn digest(&mut self) -> impl Future<Output = io::Result<Option<Digest>>> + Send {
        std::future::ready(Ok(None))
    }

    /// Whether [`digest`](Self::digest) will give one.
    fn hashes(&self) -> bool {
        false
    }

    /// Bytes of the blob's beginning that it has before anything is written, and hashed; nothing after a restart.
    fn held_bytes(&self) -> u64 {
        0
    }

    /// All bytes were written and are right; completes when they have left every buffer.
    fn finish(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        std::future::ready(Ok(()))
    }
}

impl BlobSink for Vec<u8> {
    async fn write(&mut self, chunk: Bytes) -> io::Result<()> {
        self.extend_from_slice(&chunk);
        Ok(())
    }

    async fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }
}

/// Writes into anything that is `AsyncWrite`; cannot restart.
#[derive(Debug)]
pub struct AsyncWriteSink<W>(pub W);

impl<W: AsyncWrite + Unpin + Send> BlobSink for AsyncWriteSink<W> {
    async fn write(&mut self, chunk: Bytes) -> io::Result<()> {
        self.0.write_all(&chunk).await
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.0.flush().await
    }
}

/// Bytes gathered before a blocking thread is woken for them.
const BATCH_BYTES: usize = 1 << 20;

/// Writes into a blocking `Write`, on tokio's blocking threads and in large batches, one of which is
/// written while the next comes in.
pub struct WriteSink<W> {
    writer: Option<W>,
    running: Option<JoinHandle<(W, io::Result<()>)>>,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    restart: Option<fn(&mut W) -> io::Result<()>>,
    digest: Option<fn(&W) -> Digest>,
    held_bytes: u64,
}

impl<W: Write + Send + 'static> WriteSink<W> {
    /// A sink that cannot restart.
    pub fn new(writer: W) -> Self {
        Self {
            writer: Some(writer),
            running: None,
            batch: Vec::new(),
            batch_bytes: 0,
            restart: None,
            digest: None,
            held_bytes: 0,
        }
    }

    /// A sink whose writer hashes what it gets, with the algorithm of the digest that is pulled, and that restarts by
    /// `restart`.
    pub fn hashing(writer: W, digest: fn(&W) -> Digest, restart: fn(&mut W) -> io::Result<()>) -> Self {
        Self { digest: Some(digest), ..Self::restartable(writer, restart) }
    }

    /// The sink of a writer that has this many bytes of the blob's beginning already.
    pub fn holding(self, held_bytes: u64) -> Self {
        Self { held_bytes, ..self }
    }

    /// A sink that restarts by `restart`.
    pub fn restartable(writer: W, restart: fn(&mut W) -> io::Result<()>) -> Self {
        Self { restart: Some(restart), ..Self::new(writer) }
    }

    /// The writer, once the pull has returned; `None` if it was lost in a panic.
    pub async fn into_inner(mut self) -> Option<W> {
        let _ = self.settle().await;
        self.writer.take()
    }

    /// Waits for the batch that is being written.
    async fn settle(&mut self) -> io::Result<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        let (writer, result) = running.await.map_err(io::Error::other)?;
        self.writer = Some(writer);
        result
    }

    async fn hand_over(&mut self) -> io::Result<()> {
        self.settle().await?;
        let Some(mut writer) = self.writer.take() else {
            return Err(io::Error::other("the writer was lost"));
        };
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        self.running = Some(blocking(move || {
            let result = batch.iter().try_for_each(|chunk| writer.write_all(chunk));
            (writer, result)
        }));
        Ok(())
    }
}

impl<W: Write + Send + 'static> WriteSink<W> {
    /// Completes when the writer has all that was given.
    async fn drain(&mut self) -> io::Result<()> {
        if !self.batch.is_empty() {
            self.hand_over().await?;
        }
        self.settle().await
    }
}

impl WriteSink<File> {
    /// Writes a file from its present position, and restarts by cutting it to nothing.
    pub fn file(file: File) -> Self {
        Self::restartable(file, |file| {
            file.set_len(0)?;
            file.rewind()
        })
    }
}

impl<W: Write + Send + 'static> BlobSink for WriteSink<W> {
    async fn write(&mut self, chunk: Bytes) -> io::Result<()> {
        self.batch_bytes += chunk.len();
        self.batch.push(chunk);
        if self.batch_bytes < BATCH_BYTES { Ok(()) } else { self.hand_over().await }
    }

    async fn restart(&mut self) -> io::Result<()> {
        self.settle().await?;
        self.batch.clear();
        (self.batch_bytes, self.held_bytes) = (0, 0);
        match (self.restart, self.writer.as_mut()) {
            (Some(restart), Some(writer)) => restart(writer),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    async fn digest(&mut self) -> io::Result<Option<Digest>> {
        let Some(digest) = self.digest else { return Ok(None) };
        self.drain().await?;
        Ok(self.writer.as_ref().map(digest))
    }

    fn hashes(&self) -> bool {
        self.digest.is_some()
    }

    fn held_bytes(&self) -> u64 {
        if self.hashes() { self.held_bytes } else { 0 }
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.drain().await?;
        self.writer.as_mut().map_or(Ok(()), Write::flush)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_write_sink_keeps_order_across_batches_and_restarts() {
        let mut sink = WriteSink::restartable(Vec::new(), |v: &mut Vec<u8>| {
            v.clear();
            Ok(())
        });
        sink.write(vec![9; 3 << 20].into()).await.unwrap();
        sink.restart().await.unwrap();
        let mut want = Vec::new();
        for n in 0..40u8 {
            want.extend(vec![n; 100_000]);
            sink.write(vec![n; 100_000].into()).await.unwrap();
        }
        sink.finish().await.unwrap();
        assert_eq!(sink.into_inner().await.unwrap(), want);
    }

    #[tokio::test]
    async fn an_error_of_the_writer_comes_out() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut sink = WriteSink::new(Full);
        sink.write(Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(sink.finish().await.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
