//! The body of an upload on its way.
//!
//! Owns how much of it is sent, whether its source failed, and its end before time: a registry that answers before it
//! has the whole body (401, 429, 503, a quota) is sent no more of it. HTTP/1.1 has no word for that but to close the
//! connection, so the body holds still while the answer is read and then ends with an error.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::Body;
use tokio::sync::watch;

use crate::source::ByteStream;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// Nothing more goes out, but the connection stays for the answer.
    Held,
    /// The connection is to be closed.
    Shut,
}

/// Watches the body of an upload.
pub(crate) struct Sent {
    bytes: AtomicU64,
    total: u64,
    ended: AtomicBool,
    trouble: Mutex<Option<io::Error>>,
    gate: watch::Sender<Gate>,
}

impl Sent {
    /// Of a body of so many bytes; `None` if nobody knows yet.
    pub(crate) fn new(total: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicU64::new(0),
            total: total.unwrap_or(u64::MAX),
            ended: AtomicBool::new(total == Some(0)),
            trouble: Mutex::default(),
            gate: watch::channel(Gate::Open).0,
        })
    }

    /// The body that a stream makes.
    pub(crate) fn body(self: &Arc<Self>, stream: ByteStream) -> Body {
        let flow = Flow { stream, more: Bytes::new(), sent: self.clone(), gate: self.gate.subscribe() };
        Body::wrap_stream(futures_util::stream::unfold(flow, Flow::next))
    }

    /// Bytes that the connection took.
    pub(crate) fn count(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether the connection took all; the other side has no more than that.
    pub(crate) fn is_whole(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The error that the source ended with.
    pub(crate) fn trouble(&self) -> Option<io::Error> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Sends no more, and closes the connection when the answer is dropped.
    pub(crate) fn hold(self: &Arc<Self>) -> Rest {
        self.gate.send_replace(Gate::Held);
        Rest(self.clone())
    }

    /// Keeps the source's error, and gives one to end the request with.
    fn fail(&self, error: io::Error) -> io::Error {
        let copy = io::Error::new(error.kind(), error.to_string());
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        copy
    }
}

/// What of a body was not sent, as it was answered before.
pub(crate) struct Rest(Arc<Sent>);

impl Drop for Rest {
    fn drop(&mut self) {
        self.0.gate.send_replace(Gate::Shut);
    }
}

/// At most so many bytes are given to a connection at once, or it could not be held.
const PART_BYTES: usize = 256 << 10;

struct Flow {
    stream: ByteStream,
    /// What the stream gave beyond that.
    more: Bytes,
    sent: Arc<Sent>,
    gate: watch::Receiver<Gate>,
}

impl Flow {
    async fn part(more: &mut Bytes, stream: &mut ByteStream) -> Option<io::Result<Bytes>> {
        if more.is_empty() {
            match stream.next().await? {
                Ok(bytes) => *more = bytes,
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(more.split_to(more.len().min(PART_BYTES))))
    }

    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        let part = tokio::select! {
            biased;
            _ = self.gate.wait_for(|gate| *gate != Gate::Open) => None,
            part = Self::part(&mut self.more, &mut self.stream) => Some(part),
        };
        let part = match part {
            Some(Some(Ok(bytes))) => {
                let before = self.sent.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                if before + bytes.len() as u64 >= self.sent.total {
                    self.sent.ended.store(true, Ordering::Release);
                }
                Ok(bytes)
            }
            Some(Some(Err(error))) => Err(self.sent.fail(error)),
            Some(None) => {
                self.sent.ended.store(true, Ordering::Release);
                return None;
            }
            None => {
                // Cannot fail: the sender is in `sent`.
                let _ = self.gate.wait_for(|gate| *gate == Gate::Shut).await;
                Err(io::Error::new(io::ErrorKind::Interrupted, "it was answered before its end"))
            }
        };
        Some((part, self))
    }
}
