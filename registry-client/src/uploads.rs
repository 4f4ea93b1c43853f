//! The uploads that registries keep for one client, so that they can be told to forget them.
//!
//! An upload is entered when its session is opened. It leaves when it is done or given up; one whose future is dropped
//! on the way stays, as nobody was left to tell the registry. [`Client::close`] tells it then. Locks: a short std mutex;
//! it is not held while anything waits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;

use crate::cancel::Cancel;
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::Target;
use crate::journal::Note;
use crate::session::Session;

/// How long registries are waited for when there is nothing else left to do.
const PATIENCE: Duration = Duration::from_secs(2);

/// An upload that a registry keeps.
struct Open {
    endpoint: Endpoint,
    target: Target,
    session: Session,
    state: State,
}

/// Who goes on with an upload.
enum State {
    /// Its operation.
    Live,
    /// Nobody, or a later push by this note.
    Forsaken(Option<Note>),
}

/// All of one client.
#[derive(Default)]
pub(crate) struct Uploads {
    open: Mutex<HashMap<u64, Open>>,
    changed: Notify,
    /// Ends all operations.
    pub(crate) stop: Cancel,
    /// Whether what a later push can go on with stays when they end.
    keep_resumable: AtomicBool,
}

impl Uploads {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<u64, Open>) -> T) -> T {
        work(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes where an upload is now.
    pub(crate) fn enter(&self, id: u64, endpoint: &Endpoint, target: &Target, session: &Session) {
        let (endpoint, target, session) = (endpoint.clone(), target.clone(), session.clone());
        self.with(|open| open.insert(id, Open { endpoint, target, session, state: State::Live }));
    }

    pub(crate) fn session(&self, id: u64) -> Option<Session> {
        self.with(|open| open.get(&id).map(|upload| upload.session.clone()))
    }

    pub(crate) fn leave(&self, id: u64) {
        if self.with(|open| open.remove(&id)).is_some() {
            self.changed.notify_waiters();
        }
    }

    /// Nobody goes on with an upload.
    pub(crate) fn forsake(&self, id: u64, note: Option<Note>) {
        let known = self.with(|open| open.get_mut(&id).map(|upload| upload.state = State::Forsaken(note)));
        if known.is_some() {
            self.changed.notify_waiters();
        }
    }

    /// Whether an upload that a later push can go on with is left as it is, though its operation was stopped.
    pub(crate) fn keeps_resumable(&self) -> bool {
        self.keep_resumable.load(Ordering::Relaxed)
    }

    fn take_forsaken(&self) -> Vec<Open> {
        self.with(|open| {
            open.extract_if(|_, upload| matches!(upload.state, State::Forsaken(_)))
                .map(|(_, upload)| upload)
                .collect()
        })
    }

    fn is_empty(&self) -> bool {
        self.with(|open| open.is_empty())
    }
}

impl Client {
    /// Ends all operations of this client and its clones, for good, and tells registries to forget the uploads that
    /// these leave, and those that futures dropped earlier have left. What a later push could go on with
    /// ([`crate::ClientBuilder::journal`]) is forgotten, too, unless it is to be kept. Takes 2 s at most; a registry
    /// that does not answer until then forgets by itself one day.
    pub async fn close(&self, keep_resumable: bool) {
        let uploads = &self.inner.uploads;
        uploads.keep_resumable.store(keep_resumable, Ordering::Relaxed);
        uploads.stop.cancel();
        let work = async {
            loop {
                let changed = uploads.changed.notified();
                tokio::pin!(changed);
                // From here on no change is missed.
                changed.as_mut().enable();
                join_all(uploads.take_forsaken().into_iter().map(|upload| self.forget(upload))).await;
                if uploads.is_empty() {
                    break;
                }
                changed.await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, work).await;
    }

    async fn forget(&self, upload: Open) {
        let State::Forsaken(note) = upload.state else { return };
        if note.is_some() && self.inner.uploads.keeps_resumable() {
            return;
        }
        let _ = self.delete_upload(&upload.endpoint, &upload.target, &upload.session).await;
        if let Some(note) = note {
            note.clear();
        }
    }
}
