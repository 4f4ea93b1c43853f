//! A blob of one registry as the source of a push to another.
//!
//! Owns the stream between them: a pull whose sink is the push. Nothing is stored, a break is continued where it was, a slow
//! connection for a big blob gets company, and what was read from the start is hashed on the way, so that a wrong blob is
//! known before its upload ends.

use std::io;

use bytes::Bytes;
use cooper_oci::{Descriptor, Digest, Hasher, Reference};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::call::target_of;
use crate::client::Client;
use crate::error::Result;
use crate::pull::Part;
use crate::sink::BlobSink;
use crate::source::{BlobSource, ByteStream};

/// Parts that wait for the push; the pull goes on only as they are taken.
const WAITING: usize = 16;

/// A blob that is streamed from its registry each time it is opened. It waits for no place among the transfers
/// of its registry ([`crate::Limits::transfers`]): it counts as part of the push that reads it.
#[derive(Debug, Clone)]
pub struct RegistrySource {
    client: Client,
    reference: Reference,
    descriptor: Descriptor,
}

impl RegistrySource {
    /// The blob `descriptor` of the reference's repository.
    pub fn new(client: Client, reference: Reference, descriptor: Descriptor) -> Self {
        Self { client, reference, descriptor }
    }
}

impl BlobSource for RegistrySource {
    async fn open(&self, offset: u64) -> io::Result<ByteStream> {
        let (sender, parts) = mpsc::channel(WAITING);
        let RegistrySource { client, reference, descriptor } = self.clone();
        let hasher = (offset == 0).then(|| descriptor.digest.hasher());
        let digest = descriptor.digest.clone();
        let mut sink = Passage { sender, last: None, taken_bytes: offset, hasher, digest };
        let pull = async move {
            let target = target_of(&reference, &descriptor.digest);
            client.pull_across(&reference, &descriptor, &target, &mut sink, Part::OfPush).await
        };
        // A task of its own: what it waits for is the other registry, and not the push.
        let mut reading = JoinSet::new();
        reading.spawn(pull);
        Ok(Box::pin(futures_util::stream::try_unfold(Relay { reading, parts }, Relay::next)))
    }
}

/// A pull that ends with the stream.
struct Relay {
    reading: JoinSet<Result<()>>,
    parts: mpsc::Receiver<Bytes>,
}

impl Relay {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if let Some(part) = self.parts.recv().await {
            return Ok(Some((part, self)));
        }
        // Its sender is gone, so it is over.
        match self.reading.join_next().await {
            None | Some(Ok(Ok(()))) => Ok(None),
            Some(Ok(Err(error))) => Err(io::Error::other(error)),
            Some(Err(lost)) => Err(io::Error::other(lost)),
        }
    }
}

/// Hands on what is pulled, but the last part only when the whole is known to be right: a push ends with it.
struct Passage {
    sender: mpsc::Sender<Bytes>,
    last: Option<Bytes>,
    /// Bytes of the blob's beginning that came.
    taken_bytes: u64,
    /// None if the stream did not begin at the start.
    hasher: Option<Hasher>,
    digest: Digest,
}

impl Passage {
    async fn hand_on(&mut self, part: Option<Bytes>) -> io::Result<()> {
        let Some(part) = part else { return Ok(()) };
        self.sender.send(part).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl BlobSink for Passage {
    async fn write(&mut self, chunk: Bytes) -> io::Result<()> {
        self.taken_bytes += chunk.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&chunk);
        }
        let before = self.last.replace(chunk);
        self.hand_on(before).await
    }

    async fn digest(&mut self) -> io::Result<Option<Digest>> {
        // Of a part, the other registry is the judge.
        Ok(Some(self.hasher.clone().map_or_else(|| self.digest.clone(), Hasher::finish)))
    }

    fn hashes(&self) -> bool {
        true
    }

    /// Another place goes on where the one before was.
    fn held_bytes(&self) -> u64 {
        self.taken_bytes
    }

    async fn finish(&mut self) -> io::Result<()> {
        let last = self.last.take();
        self.hand_on(last).await
    }
}
