//! A file that is read while it is written.
//!
//! Owns how much of it is there, and whether more will come. Readers wait for what is not there yet; they use
//! positions of their own, so that any number of them may follow one writer. Nothing here makes the file durable.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cooper_registry_client::{BlobSource, ByteStream};
use futures_util::Stream;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::task;

/// Bytes that a stream hands on at once.
const PART: usize = 512 * 1024;

/// The file, and how far it is.
#[derive(Debug)]
pub struct Growing {
    file: File,
    /// Where it begins in the file.
    start: u64,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    written: u64,
    end: Option<End>,
    /// Somebody reads.
    followed: bool,
    /// It would have begun again if nobody had read.
    outdated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Broken,
}

impl Growing {
    /// An empty file. What is written to `writer` must end up in it, in order.
    pub fn new<W: Write>(file: File, writer: W) -> (Arc<Self>, Announcing<W>) {
        Self::begun(file, writer, 0)
    }

    /// A file of which so many bytes are there.
    pub fn begun<W: Write>(file: File, writer: W, written: u64) -> (Arc<Self>, Announcing<W>) {
        Self::make(file, 0, writer, written)
    }

    /// The part of a file from `start` on.
    pub fn within<W: Write>(file: File, start: u64, writer: W) -> (Arc<Self>, Announcing<W>) {
        Self::make(file, start, writer, 0)
    }

    fn make<W: Write>(file: File, start: u64, writer: W, written: u64) -> (Arc<Self>, Announcing<W>) {
        let state = State { written, ..State::default() };
        let growing = Arc::new(Self { file, start, state: watch::Sender::new(state) });
        (growing.clone(), Announcing { inner: writer, told: Told(growing) })
    }

    /// Its bytes from `offset` on, as they come; an error if the writer gives up.
    pub fn stream(self: &Arc<Self>, offset: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        self.state.send_modify(|state| state.followed = true);
        let state = (self.clone(), self.state.subscribe(), offset);
        futures_util::stream::try_unfold(state, |(growing, mut receiver, at)| async move {
            // The sender lives as long as `growing`.
            let seen = *receiver
                .wait_for(|state| state.written > at || state.end.is_some())
                .await
                .map_err(io::Error::other)?;
            if seen.written <= at {
                return if seen.end == Some(End::Whole) { Ok(None) } else { Err(given_up()) };
            }
            let length = usize::try_from(seen.written - at).unwrap_or(PART).min(PART);
            let source = growing.clone();
            let part = task::blocking("read layer", move || {
                let mut part = BytesMut::zeroed(length);
                Ok(source.file.read_exact_at(&mut part, source.start + at).map(|()| part.freeze()))
            });
            let part = part.await.map_err(io::Error::other)??;
            let at = at + part.len() as u64;
            Ok(Some((part, (growing, receiver, at))))
        })
    }

    /// Its bytes from `offset` on, for a thread that may wait.
    pub fn reader(self: &Arc<Self>, offset: u64, runtime: Handle) -> GrowingReader {
        self.state.send_modify(|state| state.followed = true);
        GrowingReader { receiver: self.state.subscribe(), growing: self.clone(), at: offset, runtime }
    }
}

/// The file as a source for pushes.
#[derive(Debug, Clone)]
pub struct GrowingSource(pub Arc<Growing>);

impl BlobSource for GrowingSource {
    async fn open(&self, offset: u64) -> io::Result<ByteStream> {
        Ok(Box::pin(self.0.stream(offset)))
    }
}

impl Growing {
    /// Whether it could not begin again because somebody read it.
    pub fn is_outdated(&self) -> bool {
        self.state.borrow().outdated
    }
}

fn given_up() -> io::Error {
    io::Error::other("it was given up before it was whole")
}

/// Writes the file and tells its readers. [`finish`](Self::finish) says that it is whole; dropping it without says
/// that it never will be.
#[derive(Debug)]
pub struct Announcing<W> {
    inner: W,
    told: Told,
}

/// Tells that nothing more will come.
#[derive(Debug)]
struct Told(Arc<Growing>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| {
            state.end.get_or_insert(End::Broken);
        });
    }
}

impl<W: Write> Announcing<W> {
    /// The writer.
    pub fn get(&self) -> &W {
        &self.inner
    }

    /// The file is whole. Hands back the writer.
    pub fn finish(self) -> io::Result<W> {
        let Self { mut inner, told } = self;
        inner.flush()?;
        told.0.state.send_modify(|state| state.end = Some(End::Whole));
        Ok(inner)
    }

    /// Begins again, as `restart` makes the writer do: an error of kind `Unsupported` if somebody reads already.
    pub fn restart(&mut self, restart: impl FnOnce(&mut W) -> io::Result<()>) -> io::Result<()> {
        let alone = self.told.0.state.send_if_modified(|state| {
            state.outdated = state.followed;
            state.written = if state.followed { state.written } else { 0 };
            !state.followed
        });
        if alone { restart(&mut self.inner) } else { Err(io::ErrorKind::Unsupported.into()) }
    }
}

impl<W: Write> Write for Announcing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.told.0.state.send_modify(|state| state.written += count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads the file, waiting for what is not there yet.
#[derive(Debug)]
pub struct GrowingReader {
    growing: Arc<Growing>,
    receiver: watch::Receiver<State>,
    at: u64,
    runtime: Handle,
}

impl Read for GrowingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.at;
        let mut seen = *self.receiver.borrow_and_update();
        if seen.written <= at && seen.end.is_none() {
            let more = self.receiver.wait_for(|state| state.written > at || state.end.is_some());
            seen = *self.runtime.block_on(more).map_err(io::Error::other)?;
        }
        if seen.written <= at {
            return if seen.end == Some(End::Whole) { Ok(0) } else { Err(given_up()) };
        }
        let length = usize::try_from(seen.written - at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.growing.file.read_at(&mut buffer[..length], self.growing.start + at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures_util::TryStreamExt as _;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn readers_see_all_that_is_written_while_it_is_written() {
        let file = tempfile::tempfile().unwrap();
        let (growing, mut writer) = Growing::new(file.try_clone().unwrap(), file);
        let want: Vec<u8> = (0..3_000_000u32).map(|n| (n >> 5).to_le_bytes()[0]).collect();
        let streams: Vec<_> = [0, 1, 1_500_000]
            .map(|from: u64| task::spawn(growing.stream(from).map_ok(|b| b.to_vec()).try_concat()))
            .into_iter()
            .collect();
        let (reader, bytes) = (growing.reader(7, Handle::current()), want.clone());
        let follow = task::blocking("follow", move || {
            let mut reader = reader;
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            Ok(all)
        });
        let write = task::blocking("write", move || {
            bytes.chunks(70_000).for_each(|part| writer.write_all(part).unwrap());
            writer.finish().unwrap();
            Ok(())
        });
        let (all, written) = tokio::join!(follow, write);
        written.unwrap();
        assert!(all.unwrap() == want[7..]);
        for (stream, from) in streams.into_iter().zip([0, 1, 1_500_000]) {
            assert!(stream.join().await.unwrap().unwrap() == want[from..]);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_writer_that_gives_up_is_an_error_and_no_end() {
        let file = tempfile::tempfile().unwrap();
        let (growing, mut writer) = Growing::new(file.try_clone().unwrap(), file);
        writer.write_all(b"half").unwrap();
        drop(writer);
        let parts: Result<Vec<Bytes>, _> = growing.stream(0).try_collect().await;
        assert!(parts.is_err());
        let mut reader = growing.reader(0, Handle::current());
        let read = task::blocking("read", move || Ok(reader.read_to_end(&mut Vec::new()).is_err()));
        assert!(read.await.unwrap());
    }
}
