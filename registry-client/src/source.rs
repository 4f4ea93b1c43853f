//! Where pushed bytes come from.
//!
//! Owns the [`BlobSource`] trait and its adapters. A source can be opened again at any offset, because
//! an upload may have to be repeated in part; it must give the same bytes each time.

use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

use crate::blocking::blocking;
use crate::buffers::Buffers;

/// A blob's bytes from some offset to the end.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Gives a blob's bytes, as often as needed.
pub trait BlobSource: Send + Sync {
    /// The bytes from `offset` on.
    fn open(&self, offset: u64) -> impl Future<Output = io::Result<ByteStream>> + Send;
}

impl<S: BlobSource> BlobSource for &S {
    fn open(&self, offset: u64) -> impl Future<Output = io::Result<ByteStream>> + Send {
        (**self).open(offset)
    }
}

impl BlobSource for Bytes {
    async fn open(&self, offset: u64) -> io::Result<ByteStream> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let rest = self.slice(start..);
        Ok(Box::pin(futures_util::stream::iter([Ok(rest)])))
    }
}

/// A source made of a function that gives a blocking reader from an offset on. The function and the
/// reader run on a blocking thread, so that it may decompress, compress or compute.
pub struct ReadSource<F>(pub F);

impl<F, R> BlobSource for ReadSource<F>
where
    F: Fn(u64) -> io::Result<R> + Clone + Send + Sync + 'static,
    R: Read + 'static,
{
    async fn open(&self, offset: u64) -> io::Result<ByteStream> {
        let open = self.0.clone();
        read_in_background(move || open(offset))
    }
}

/// Parts read ahead of the network.
const AHEAD: usize = 4;

#[expect(clippy::unnecessary_wraps, reason = "every source ends with it")]
fn read_in_background<R: Read>(
    open: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> io::Result<ByteStream> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    // Ends when the stream is dropped, for then its next send fails.
    drop(blocking(move || {
        let mut reader = match open() {
            Ok(reader) => reader,
            Err(e) => return drop(sender.blocking_send(Err(e))),
        };
        let buffers = Buffers::default();
        loop {
            let part = buffers.fill(|buffer| read_part(&mut reader, buffer));
            let last = !matches!(&part, Ok(bytes) if !bytes.is_empty());
            if last && part.is_ok() {
                return;
            }
            if sender.blocking_send(part).is_err() || last {
                return;
            }
        }
    }));
    Ok(Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|part| (part, receiver))
    })))
}

fn read_part(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures_util::StreamExt as _;

    use super::*;
    use crate::file_source::FileSource;

    async fn all(source: &impl BlobSource, offset: u64) -> io::Result<Vec<u8>> {
        let mut stream = source.open(offset).await?;
        let mut bytes = Vec::new();
        while let Some(part) = stream.next().await {
            bytes.extend_from_slice(&part?);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn sources_open_at_an_offset() {
        let content: Vec<u8> = (0..=255u8).cycle().take(1_000_000).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        std::fs::write(&path, &content).unwrap();
        let shared = std::sync::Arc::new(content.clone());
        let read = ReadSource(move |offset: u64| {
            let mut cursor = io::Cursor::new(shared.as_ref().clone());
            cursor.set_position(offset);
            Ok(cursor)
        });
        for offset in [0, 1, 999_999, 1_000_000] {
            let want = &content[usize::try_from(offset).unwrap()..];
            assert_eq!(all(&Bytes::from(content.clone()), offset).await.unwrap(), want);
            assert_eq!(all(&FileSource(path.clone()), offset).await.unwrap(), want);
            assert_eq!(all(&read, offset).await.unwrap(), want);
        }
        assert!(all(&FileSource(dir.path().join("none")), 0).await.is_err());
    }
}
