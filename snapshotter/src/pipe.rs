//! Two threads on one layer: one gathers entries and file contents into batches, the other hashes and consumes them in
//! order.
//!
//! The consumer's thread starts with the second batch: most layers of a build are so small that one thread is done
//! before another would have begun. Batches go round: four of them are all the memory that a layer of any size takes.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use crate::error::{Error, Result};
use crate::parts::{Content, Parts};
use crate::tree::TreeEntry;

/// A batch is handed on when it has so many bytes of content,
const BATCH_BYTES: usize = 512 << 10;
/// or so many parts.
const BATCH_PARTS: usize = 1024;
/// Batches that wait for the consumer.
const QUEUE: usize = 2;

/// A piece of a layer, in the order of its tar stream.
pub(crate) enum Part {
    /// An entry. The content of a file follows as data and an end.
    Entry(TreeEntry),
    /// So many of the batch's bytes.
    Data(usize),
    /// The file ends here.
    End,
}

/// Parts, and the bytes that they take.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) parts: Vec<Part>,
    pub(crate) bytes: Vec<u8>,
}

/// What the consumer does with a batch; it leaves it empty or not.
type Consume<C> = fn(&mut C, &mut Batch) -> Result<()>;

/// The gathering side.
pub(crate) struct Pipe<'scope, 'env, C: 'scope> {
    scope: &'scope Scope<'scope, 'env>,
    consume: Consume<C>,
    batch: Batch,
    state: State<'scope, C>,
}

enum State<'scope, C> {
    /// Nothing was handed on yet.
    Here(C),
    There {
        full: SyncSender<Batch>,
        empty: Receiver<Batch>,
        consumer: ScopedJoinHandle<'scope, Result<C>>,
    },
    Failed,
}

/// Runs `gather` beside `consume`, and returns the consumer when it has had everything.
pub(crate) fn run<C: Send>(
    consumer: C,
    consume: Consume<C>,
    gather: impl FnOnce(&mut Pipe<'_, '_, C>) -> Result<()>,
) -> Result<C> {
    std::thread::scope(|scope| {
        let mut pipe = Pipe { scope, consume, batch: Batch::default(), state: State::Here(consumer) };
        let gathered = gather(&mut pipe);
        // If the consumer failed, it knows why; the gathering side has only met a closed door.
        pipe.finish(gathered)
    })
}

impl<'scope, C: Send + 'scope> Parts for Pipe<'scope, '_, C> {
    fn entry(&mut self, entry: TreeEntry) -> Result<()> {
        self.push(Part::Entry(entry))
    }

    fn file(&mut self, entry: TreeEntry, content: &Content<'_>) -> Result<()> {
        let mut content = content()?;
        self.push_file(entry, &mut content)
    }
}

impl<'scope, C: Send + 'scope> Pipe<'scope, '_, C> {
    /// Adds a part that has no bytes.
    fn push(&mut self, part: Part) -> Result<()> {
        self.batch.parts.push(part);
        if self.batch.parts.len() < BATCH_PARTS { Ok(()) } else { self.hand_on() }
    }

    /// Adds a file and its content. Of one that grew, the first bytes are taken.
    fn push_file(&mut self, entry: TreeEntry, file: &mut impl Read) -> Result<()> {
        let failed = |source| Error::WriteLayer { layer: "at a file".into(), source };
        let mut left = entry.size;
        self.push(Part::Entry(entry))?;
        while left > 0 {
            let room = BATCH_BYTES.saturating_sub(self.batch.bytes.len()) as u64;
            let mut part = file.by_ref().take(left.min(room));
            let got = part.read_to_end(&mut self.batch.bytes).map_err(failed)?;
            if got == 0 {
                let text = format!("the file is {left} bytes shorter than it was");
                return Err(failed(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
            }
            left -= got as u64;
            self.batch.parts.push(Part::Data(got));
            if self.batch.bytes.len() >= BATCH_BYTES {
                self.hand_on()?;
            }
        }
        self.push(Part::End)
    }

    fn hand_on(&mut self) -> Result<()> {
        if let State::Here(_) = self.state
            && let State::Here(consumer) = std::mem::replace(&mut self.state, State::Failed)
        {
            self.state = self.start(consumer);
        }
        let State::There { full, empty, .. } = &self.state else { return Err(Error::Poisoned) };
        let next = empty.try_recv().unwrap_or_default();
        full.send(std::mem::replace(&mut self.batch, next)).map_err(|_| Error::Poisoned)
    }
}

impl<'scope, C: Send + 'scope> Pipe<'scope, '_, C> {
    fn start(&self, mut consumer: C) -> State<'scope, C> {
        let (full, batches) = sync_channel::<Batch>(QUEUE);
        let (give_back, empty) = sync_channel(QUEUE + 2);
        let consume = self.consume;
        let consumer = self.scope.spawn(move || {
            while let Ok(mut batch) = batches.recv() {
                consume(&mut consumer, &mut batch)?;
                batch.parts.clear();
                batch.bytes.clear();
                // Only a saving: the other side may be gone.
                let _ = give_back.try_send(batch);
            }
            Ok(consumer)
        });
        State::There { full, empty, consumer }
    }

    fn finish(mut self, gathered: Result<()>) -> Result<C> {
        match self.state {
            State::Here(mut consumer) => {
                gathered?;
                (self.consume)(&mut consumer, &mut self.batch)?;
                Ok(consumer)
            }
            State::There { full, consumer, .. } => {
                if gathered.is_ok() {
                    // A consumer that is gone says why below.
                    let _ = full.send(self.batch);
                }
                drop(full);
                let consumed = consumer.join().map_err(|_| Error::Poisoned)?;
                match (gathered, consumed) {
                    (Ok(()) | Err(Error::Poisoned), consumed) => consumed,
                    (Err(error), _) => Err(error),
                }
            }
            State::Failed => Err(gathered.err().unwrap_or(Error::Poisoned)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tree::{TreeEntry, TreeKind};

    #[derive(Default)]
    struct Seen {
        bytes: Vec<u8>,
        parts: usize,
        fail_after: Option<usize>,
    }

    fn see(seen: &mut Seen, batch: &mut Batch) -> Result<()> {
        seen.parts += batch.parts.len();
        seen.bytes.extend_from_slice(&batch.bytes);
        match seen.fail_after {
            Some(most) if seen.parts > most => Err(Error::BadName("full".into())),
            _ => Ok(()),
        }
    }

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
    }

    fn file(size: usize) -> TreeEntry {
        TreeEntry { size: size as u64, ..TreeEntry::new("f", TreeKind::File) }
    }

    #[test]
    fn bytes_arrive_in_order_whatever_their_number() {
        for length in [0, 1, BATCH_BYTES - 1, BATCH_BYTES, BATCH_BYTES + 1, 5 * BATCH_BYTES + 3] {
            let data = content(length);
            let seen = run(Seen::default(), see, |pipe| {
                pipe.push_file(file(length), &mut data.as_slice())?;
                pipe.push_file(file(length), &mut data.as_slice())
            });
            assert!(seen.unwrap().bytes == [data.as_slice(), &data].concat(), "{length} bytes");
        }
    }

    #[test]
    fn the_error_of_the_consumer_is_told() {
        let failing = Seen { fail_after: Some(10), ..Seen::default() };
        let result = run(failing, see, |pipe| {
            for _ in 0..1_000_000 {
                pipe.push(Part::Entry(TreeEntry::new("a", TreeKind::Fifo)))?;
            }
            Ok(())
        });
        assert!(matches!(result, Err(Error::BadName(_))));
    }

    #[test]
    fn a_file_that_got_shorter_is_an_error() {
        let result = run(Seen::default(), see, |pipe| pipe.push_file(file(4), &mut &b"abc"[..]));
        assert!(matches!(result, Err(Error::WriteLayer { .. })));
    }
}
