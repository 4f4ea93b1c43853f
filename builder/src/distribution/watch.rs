//! Transfers as events: one step for the whole, an item for each large blob.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cooper_oci::Digest;
use cooper_registry_client::{Direction, NoticeObserver, Observer, Progress};

use crate::event::{Event, EventSender, StepState, Stream};

/// Smaller blobs are there before anybody could read about them.
const WORTH_TELLING_BYTES: u64 = 1 << 20;
const INTERVAL: Duration = Duration::from_millis(100);
const STEP: usize = 0;

/// Tells about the transfers of one command.
#[derive(Debug)]
pub struct Watch {
    /// Gone once the step has ended: whoever draws waits for the last sender.
    events: Mutex<Option<EventSender>>,
    started: Instant,
    told: Mutex<HashMap<(bool, Digest), Instant>>,
}

impl Watch {
    /// Begins the step.
    pub fn new(events: EventSender, name: impl Into<String>) -> Arc<Watch> {
        events.send(Event::StepPlanned { step: STEP, name: name.into(), stage: None, span: None });
        events.send(Event::StepStarted { step: STEP });
        let events = Mutex::new(Some(events));
        Arc::new(Watch { events, started: Instant::now(), told: Mutex::default() })
    }

    fn tell(&self, progress: &Progress) {
        if progress.total_bytes < WORTH_TELLING_BYTES {
            return;
        }
        let push = progress.direction == Direction::Push;
        let now = Instant::now();
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let last = told.get(&(push, progress.digest.clone()));
            let soon = last.is_some_and(|last| now.duration_since(*last) < INTERVAL);
            if soon && progress.done_bytes < progress.total_bytes {
                return;
            }
            told.insert((push, progress.digest.clone()), now);
        }
        let hex = progress.digest.hex();
        self.send(Event::StepProgress {
            step: STEP,
            item: format!("{} {}", if push { "push" } else { "pull" }, hex.get(..12).unwrap_or(hex)),
            current_bytes: progress.done_bytes,
            total_bytes: Some(progress.total_bytes),
        });
    }

    fn say(&self, text: &str) {
        let bytes = format!("{text}\n").into_bytes().into();
        self.send(Event::StepOutput { step: STEP, stream: Stream::Stderr, bytes });
    }

    fn send(&self, event: Event) {
        if let Some(events) = &*self.events.lock().unwrap_or_else(PoisonError::into_inner) {
            events.send(event);
        }
    }

    /// Ends the step as the command ended; nothing is told after that.
    pub fn end<T, E: std::fmt::Display>(&self, result: &Result<T, E>) {
        self.send(match result {
            Ok(_) => Event::StepFinished {
                step: STEP,
                state: StepState::Miss { reason: String::new() },
                duration: self.started.elapsed(),
            },
            Err(e) => Event::StepFailed { step: STEP, message: e.to_string() },
        });
        self.events.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// What clients tell about their transfers, to whoever watches at the time.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Option<Arc<Watch>>>);

impl Board {
    /// From now on `watch` is told.
    pub(crate) fn show_to(&self, watch: &Arc<Watch>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch.clone());
    }

    fn watch(&self) -> Option<Arc<Watch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn progress(self: &Arc<Self>) -> Observer {
        let board = self.clone();
        Arc::new(move |progress| {
            if let Some(watch) = board.watch() {
                watch.tell(progress);
            }
        })
    }

    /// Notices go to `otherwise` while nobody watches.
    pub(super) fn notices(self: &Arc<Self>, otherwise: Option<fn(&str)>) -> NoticeObserver {
        let board = self.clone();
        Arc::new(move |notice| match (board.watch(), otherwise) {
            (Some(watch), _) => watch.say(&notice.to_string()),
            (None, Some(say)) => say(&notice.to_string()),
            (None, None) => {}
        })
    }
}
