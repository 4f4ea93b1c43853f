//! Hosts that were given up lately.
//!
//! A request that used up its tries opens its host's circuit for a while. Others then get one try each instead
//! of waiting through the same failures; the first that succeeds closes it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a host is not tried twice.
const OPEN: Duration = Duration::from_secs(30);

/// The circuits of all hosts, by origin.
#[derive(Debug, Default)]
pub(crate) struct Circuits(Mutex<HashMap<String, Instant>>);

impl Circuits {
    pub(crate) fn open(&self, origin: &str) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(origin.to_owned(), Instant::now() + OPEN);
    }

    pub(crate) fn close(&self, origin: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(origin);
    }

    pub(crate) fn is_open(&self, origin: &str) -> bool {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(origin).is_some_and(|until| *until > Instant::now())
    }
}
