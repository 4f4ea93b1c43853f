//! The only doors to threads: named tasks that end with their owner, blocking work on tokio's bounded pool, and work
//! in the background.

use std::future::Future;

use crate::error::{BuildError, Kind};

/// Runs blocking work (files, hashing, waiting for a process) away from the async threads.
pub async fn blocking<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
) -> Result<T, BuildError> {
    #[expect(clippy::disallowed_methods, reason = "this is the wrapper that the rule asks for")]
    let handle = tokio::task::spawn_blocking(work);
    handle.await.unwrap_or_else(|e| {
        Err(BuildError::new(Kind::Internal, format!("the task `{name}` ended unexpectedly")).caused_by(e))
    })
}

/// As [`blocking`], in a thread of its own that takes only time that nobody else wants, as do the threads it starts.
pub async fn background<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
) -> Result<T, BuildError> {
    let lowered = move || {
        cooper_sys::process::lower_priority();
        work()
    };
    detached(name, lowered).await
}

/// As [`blocking`], in a thread of its own for which the process does not wait when it ends: for what may wait for ever.
pub async fn detached<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
) -> Result<T, BuildError> {
    let (sender, result) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Whoever waited may have been cancelled.
        let _ = sender.send(work());
    });
    let lost = |e: std::io::Error| {
        BuildError::new(Kind::Internal, format!("the thread `{name}` could not be started")).caused_by(e)
    };
    thread.map_err(lost)?;
    result.await.unwrap_or_else(|_| {
        Err(BuildError::new(Kind::Internal, format!("the thread `{name}` ended unexpectedly")))
    })
}

/// A task that is aborted when its handle is dropped.
#[derive(Debug)]
pub struct Task<T>(tokio::task::JoinHandle<T>);

/// Starts a task.
pub fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Task<T> {
    #[expect(clippy::disallowed_methods, reason = "this is the wrapper that the rule asks for")]
    let handle = tokio::spawn(work);
    Task(handle)
}

impl<T> Task<T> {
    /// Whether its work is over.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for the task's value.
    pub async fn join(mut self) -> Result<T, BuildError> {
        (&mut self.0)
            .await
            .map_err(|e| BuildError::new(Kind::Internal, "a task ended unexpectedly").caused_by(e))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
