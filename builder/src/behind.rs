//! A writer that works in a thread of its own, so that who writes to it does not wait.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Bytes that are handed on at once.
const PART: usize = 256 << 10;
/// Parts that wait.
const QUEUE: usize = 4;

/// Hands on to another writer, in another thread. Must be [finished](Self::finish): what is dropped ends in the middle.
#[derive(Debug)]
pub struct Behind<W> {
    part: Vec<u8>,
    parts: SyncSender<Vec<u8>>,
    /// Parts whose bytes were taken, for new ones.
    spare: Receiver<Vec<u8>>,
    /// Until its end was waited for.
    thread: Option<JoinHandle<io::Result<W>>>,
}

impl<W: Write + Send + 'static> Behind<W> {
    /// Starts the thread.
    pub fn start(name: &str, mut inner: W) -> io::Result<Self> {
        let (parts, queue) = sync_channel::<Vec<u8>>(QUEUE);
        let (give_back, spare) = sync_channel(QUEUE + 1);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            for mut part in queue {
                inner.write_all(&part)?;
                part.clear();
                // Only a saving.
                let _ = give_back.try_send(part);
            }
            Ok(inner)
        })?;
        Ok(Self { part: Vec::new(), parts, spare, thread: Some(thread) })
    }

    /// Waits until all is written, and hands back the writer; or tells what went wrong there.
    pub fn finish(mut self) -> io::Result<W> {
        self.hand_on()?;
        drop(self.parts);
        join(self.thread)
    }
}

fn join<W>(thread: Option<JoinHandle<io::Result<W>>>) -> io::Result<W> {
    let died = || io::Error::other("the thread of a writer has ended");
    thread.ok_or_else(died)?.join().map_err(|_| died())?
}

impl<W> Behind<W> {
    fn hand_on(&mut self) -> io::Result<()> {
        let next = self.spare.try_recv().unwrap_or_else(|_| Vec::with_capacity(PART));
        let part = std::mem::replace(&mut self.part, next);
        if self.parts.send(part).is_ok() {
            return Ok(());
        }
        // It takes nothing more, and knows why.
        join(self.thread.take()).and(Err(io::ErrorKind::BrokenPipe.into()))
    }
}

impl<W> Write for Behind<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PART - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        if self.part.len() == PART {
            self.hand_on()?;
        }
        Ok(taken)
    }

    /// What was handed on is written soon.
    fn flush(&mut self) -> io::Result<()> {
        self.hand_on()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn all_arrives_in_order() {
        let want: Vec<u8> = (0..3_000_000u32).map(|n| (n >> 7).to_le_bytes()[0]).collect();
        let mut behind = Behind::start("test", Vec::new()).unwrap();
        want.chunks(70_001).for_each(|part| behind.write_all(part).unwrap());
        assert!(behind.finish().unwrap() == want);
        assert!(Behind::start("test", Vec::new()).unwrap().finish().unwrap().is_empty());
    }

    #[test]
    fn what_goes_wrong_there_is_told() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut behind = Behind::start("test", Full).unwrap();
        // It does not take parts for ever.
        let failed = (0..100).find_map(|_| behind.write_all(&vec![0; PART]).err());
        assert_eq!(failed.unwrap().kind(), io::ErrorKind::StorageFull);
        assert!(behind.finish().is_err());
        let mut behind = Behind::start("test", Full).unwrap();
        behind.write_all(&[0; 10]).unwrap();
        assert_eq!(behind.finish().err().unwrap().kind(), io::ErrorKind::StorageFull);
    }
}
