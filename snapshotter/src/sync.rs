//! Group commit: any number of threads that want the store on disk share one `syncfs`.
//!
//! A caller is served by a `syncfs` that *starts* after its call; while one runs, later callers gather for the next.

use std::sync::{Condvar, Mutex};

use crate::error::{Error, Result};

/// `EIO` of errno(3): what stands for a failure without a number.
const EIO: i32 = 5;

#[derive(Debug, Default)]
struct State {
    /// Rounds begun and finished; at most one is running.
    begun: u64,
    finished: u64,
    /// The first failure, with its error number. It stays: the kernel tells of it once, and whose data was lost, perhaps
    /// of a caller who has yet to ask, nobody knows.
    failed: Option<i32>,
}

/// The gathering point.
#[derive(Debug, Default)]
pub(crate) struct GroupSync {
    state: Mutex<State>,
    changed: Condvar,
}

impl GroupSync {
    /// Returns when a sync that began after this call has ended; `run` does the work in one of the callers.
    pub(crate) fn sync(&self, run: impl Fn() -> Result<()>) -> Result<()> {
        let mut state = self.state.lock().map_err(|_| Error::Poisoned)?;
        let mine = state.begun + 1;
        loop {
            if state.finished >= mine {
                return match state.failed {
                    Some(errno) => Err(Error::Io {
                        op: "sync",
                        path: "the store".into(),
                        source: std::io::Error::from_raw_os_error(errno),
                    }),
                    None => Ok(()),
                };
            }
            if state.begun > state.finished {
                state = self.changed.wait(state).map_err(|_| Error::Poisoned)?;
                continue;
            }
            state.begun += 1;
            let round = state.begun;
            drop(state);
            let result = run();
            state = self.state.lock().map_err(|_| Error::Poisoned)?;
            state.finished = round;
            if let Err(error) = &result {
                state.failed.get_or_insert(error.raw_os_error().unwrap_or(EIO));
            }
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn callers_share_rounds_and_each_is_served_by_one_that_began_later() {
        let group = GroupSync::default();
        let rounds = AtomicU64::new(0);
        let written = AtomicU64::new(0);
        let synced = AtomicU64::new(0);
        let barrier = Barrier::new(16);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    barrier.wait();
                    let mine = written.fetch_add(1, Ordering::SeqCst) + 1;
                    group
                        .sync(|| {
                            rounds.fetch_add(1, Ordering::SeqCst);
                            synced.fetch_max(written.load(Ordering::SeqCst), Ordering::SeqCst);
                            Ok(())
                        })
                        .unwrap();
                    assert!(synced.load(Ordering::SeqCst) >= mine);
                });
            }
        });
        assert!(rounds.load(Ordering::SeqCst) <= 16);
    }

    #[test]
    fn a_failure_reaches_its_caller_and_all_later_ones() {
        let group = GroupSync::default();
        assert!(group.sync(|| Ok(())).is_ok());
        assert!(group.sync(|| Err(Error::Poisoned)).is_err());
        assert!(group.sync(|| Ok(())).is_err());
    }
}
