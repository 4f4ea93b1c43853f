//! What a build tells while it runs. The builder only sends; drawing is the command line's work.

use std::time::Duration;

use cooper_frontend::ast::Span;

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
        bytes: Vec<u8>,
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
        /// One line.
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

/// Sends events; cheap to clone, never blocks, ignores that nobody listens.
#[derive(Debug, Clone)]
pub struct EventSender(tokio::sync::mpsc::UnboundedSender<Event>);

impl EventSender {
    /// A sender and its receiving end.
    pub fn channel() -> (EventSender, tokio::sync::mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        (EventSender(sender), receiver)
    }

    /// Sends one event.
    pub fn send(&self, event: Event) {
        // A closed receiver means that nobody wants to know; the build goes on.
        let _ = self.0.send(event);
    }
}
