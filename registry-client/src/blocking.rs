//! The one door to tokio's blocking threads.
//!
//! What goes through it reads or writes one blob and ends when the other side of it is dropped, so the
//! threads in use are bounded by [`crate::Limits::transfers`].

use tokio::task::JoinHandle;

/// Runs `work` on a blocking thread.
#[expect(clippy::disallowed_methods, reason = "this is the crate's wrapper")]
pub(crate) fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}
