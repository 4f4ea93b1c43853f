//! What registries do, as events: a transfer is one step, with an item for each large blob; during a build, waits are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use cooper_oci::Digest;
use cooper_registry_client::{Direction, Notice, NoticeObserver, Observer, Progress};

use crate::error::BuildError;
use crate::event::{Event, EventSender, StepNumber, StepState, Stream};

/// Smaller blobs are there before anybody could read about them.
const WORTH_TELLING_BYTES: u64 = 1 << 20;
const INTERVAL: Duration = Duration::from_millis(100);
/// The step of a command that is one transfer.
const STEP: StepNumber = 0;
/// The step for what registries let a build wait for; builds number theirs from 0.
const REGISTRIES: StepNumber = StepNumber::MAX;
/// The name under which a registry's own warnings stand among a build's.
const RULE: &str = "Registry";

/// Tells about the transfers of one command.
#[derive(Debug)]
pub struct Watch {
    step: StepNumber,
    /// Gone once the step has ended: whoever draws waits for the last sender.
    events: Mutex<Option<EventSender>>,
    started: Instant,
    told: Mutex<HashMap<(bool, Digest), Instant>>,
}

impl Watch {
    /// Begins the step.
    pub fn new(events: EventSender, name: impl Into<String>) -> Arc<Watch> {
        Arc::new(Self::at(STEP, events, name.into()))
    }

    fn at(step: StepNumber, events: EventSender, name: String) -> Watch {
        events.send(Event::StepPlanned { step, name, stage: None, span: None });
        events.send(Event::StepStarted { step });
        let events = Mutex::new(Some(events));
        Watch { step, events, started: Instant::now(), told: Mutex::default() }
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
            step: self.step,
            item: format!("{} {}", if push { "push" } else { "pull" }, hex.get(..12).unwrap_or(hex)),
            current_bytes: progress.done_bytes,
            total_bytes: Some(progress.total_bytes),
        });
    }

    fn say(&self, text: &str) {
        let bytes = format!("{text}\n").into_bytes().into();
        self.send(Event::StepOutput { step: self.step, stream: Stream::Stderr, bytes });
    }

    fn send(&self, event: Event) {
        if let Some(events) = &*self.events.lock().unwrap_or_else(PoisonError::into_inner) {
            events.send(event);
        }
    }

    /// Ends the step as the command ended; nothing is told after that. What went wrong is the command's to tell.
    pub fn end<T, E: std::fmt::Display>(&self, result: &Result<T, E>) {
        let step = self.step;
        self.send(match result {
            Ok(_) => Event::StepFinished {
                step,
                state: StepState::Miss { reason: String::new() },
                duration: self.started.elapsed(),
            },
            Err(e) => {
                let cancelled = BuildError::cancelled().to_string();
                let message = if e.to_string() == cancelled { cancelled } else { String::new() };
                Event::StepFailed { step, message }
            }
        });
        self.events.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// What clients tell, to whoever watches at the time.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// Lives as long as its command works.
    watch: Mutex<Weak<Watch>>,
    builds: Mutex<Vec<Arc<Listener>>>,
}

/// A build that is told of notices.
#[derive(Debug)]
struct Listener {
    events: EventSender,
    /// Made when there is something to say.
    waits: OnceLock<Watch>,
}

impl Listener {
    fn hear(&self, notice: &Notice) {
        let message = notice.to_string();
        if let Notice::Warning { .. } = notice {
            return self.events.send(Event::Warning { rule: RULE.to_owned(), message, span: None });
        }
        let name = || "registries".to_owned();
        self.waits.get_or_init(|| Watch::at(REGISTRIES, self.events.clone(), name())).say(&message);
    }
}

/// Keeps a build on the board.
#[derive(Debug)]
pub(crate) struct Listening<'a> {
    board: &'a Board,
    listener: Arc<Listener>,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        let mut builds = self.board.builds.lock().unwrap_or_else(PoisonError::into_inner);
        builds.retain(|other| !Arc::ptr_eq(other, &self.listener));
        drop(builds);
        if let Some(waits) = self.listener.waits.get() {
            waits.end(&Ok::<_, String>(()));
        }
    }
}

impl Board {
    /// From now on `watch` is told.
    pub(crate) fn show_to(&self, watch: &Arc<Watch>) {
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(watch);
    }

    /// A build is told of notices, until it lets go of what this returns: a registry's warnings are among its own, and
    /// what it waits for is a step.
    pub(crate) fn heard_by(&self, events: &EventSender) -> Listening<'_> {
        let listener = Arc::new(Listener { events: events.clone(), waits: OnceLock::new() });
        self.builds.lock().unwrap_or_else(PoisonError::into_inner).push(listener.clone());
        Listening { board: self, listener }
    }

    fn watch(&self) -> Option<Arc<Watch>> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    fn builds(&self) -> Vec<Arc<Listener>> {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        Arc::new(move |notice| {
            let builds = board.builds();
            for build in &builds {
                build.hear(notice);
            }
            match (board.watch(), otherwise) {
                (Some(watch), _) => watch.say(&notice.to_string()),
                (None, Some(say)) if builds.is_empty() => say(&notice.to_string()),
                (None, _) => {}
            }
        })
    }
}
