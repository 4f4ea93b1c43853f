//! The only doors to threads: named tasks that end with their owner, and blocking work on tokio's bounded pool.

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
