//! What a build tells while it runs. The builder only sends; drawing is the command line's work.

use std::sync::Arc;
use std::time::Duration;

use cooper_frontend::ast::Span;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Identifies a step in the events of one build.
pub type StepNumber = usize;

/// Something that happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A step is known (sent for all steps of the graph once it is planned, in a sensible order for people).
    StepPlanned {
        /// The step.
        step: StepNumber,
        /// Name for people.
        name: String,
        /// Its stage, if any.
        stage: Option<String>,
        /// Its place in the Dockerfile.
        span: Option<Span>,
    },
    /// Work on a step began.
    StepStarted {
        /// The step.
        step: StepNumber,
    },
    /// A step wrote output.
    StepOutput {
        /// The step.
        step: StepNumber,
        /// Which stream.
        stream: Stream,
        /// Bytes as the process wrote them; need not end at a line.
        bytes: Output,
    },
    /// A step moves bytes or entries.
    StepProgress {
        /// The step.
        step: StepNumber,
        /// What is moved, such as a short digest.
        item: String,
        /// Done so far.
        current_bytes: u64,
        /// All of it, if known.
        total_bytes: Option<u64>,
    },
    /// A step ended well.
    StepFinished {
        /// The step.
        step: StepNumber,
        /// Where its result came from.
        state: StepState,
        /// Time it took.
        duration: Duration,
    },
    /// A step failed; the error itself is the build's result.
    StepFailed {
        /// The step.
        step: StepNumber,
        /// One line; empty if the step is all that there is, and its error the result.
        message: String,
    },
    /// A remark.
    Warning {
        /// Rule name or kind.
        rule: String,
        /// One line.
        message: String,
        /// Place in the Dockerfile.
        span: Option<Span>,
    },
}

/// Output streams of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Where a step's result came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepState {
    /// A record with this key existed.
    Hit,
    /// It was done; the reason names the inputs that differ from the nearest record.
    Miss {
        /// For people, such as `src/a.ts content`.
        reason: String,
    },
    /// Nobody needed it.
    Skipped,
}

/// Output of a step, which counts against [`MAX_OUTPUT_BYTES`] until it is dropped.
#[derive(Debug, Clone, Default)]
pub struct Output {
    bytes: Vec<u8>,
    _room: Option<Arc<OwnedSemaphorePermit>>,
}

impl From<Vec<u8>> for Output {
    fn from(bytes: Vec<u8>) -> Self {
        Output { bytes, _room: None }
    }
}

impl std::ops::Deref for Output {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for Output {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Output that may wait for its listener, in bytes. Beyond it the commands wait, as they would for a slow terminal.
pub const MAX_OUTPUT_BYTES: usize = 4 << 20;

/// Sends events; cheap to clone, ignores that nobody listens.
#[derive(Debug, Clone)]
pub struct EventSender {
    sender: tokio::sync::mpsc::UnboundedSender<Event>,
    room: Arc<Semaphore>,
}

impl EventSender {
    /// A sender and its receiving end.
    pub fn channel() -> (EventSender, tokio::sync::mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        (EventSender { sender, room: Arc::new(Semaphore::new(MAX_OUTPUT_BYTES)) }, receiver)
    }

    /// Sends output of a step, once there is room for it.
    pub async fn send_output(&self, step: StepNumber, stream: Stream, bytes: Vec<u8>) {
        let wanted = u32::try_from(bytes.len().min(MAX_OUTPUT_BYTES)).unwrap_or(u32::MAX);
        // Fails only when closed, which nobody does.
        let room = self.room.clone().acquire_many_owned(wanted).await.ok().map(Arc::new);
        self.send(Event::StepOutput { step, stream, bytes: Output { bytes, _room: room } });
    }

    /// Sends one event; never waits.
    pub fn send(&self, event: Event) {
        // A closed receiver means that nobody wants to know; the build goes on.
        let _ = self.sender.send(event);
    }
}
