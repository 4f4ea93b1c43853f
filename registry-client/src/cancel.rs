//! Cancelling operations that have something to clean up.
//!
//! Dropping a future of this crate stops it at once; [`crate::Client::close`] tells registries to forget what such futures
//! left. A [`Cancel`] stops it too, but lets an upload tell the registry to forget what it got.

use std::sync::Arc;

use tokio::sync::watch;

/// A switch that stops the operations of the clients it was given to.
#[derive(Debug, Clone)]
pub struct Cancel(Arc<watch::Sender<bool>>);

impl Cancel {
    /// A switch that is not yet thrown.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Stops all operations, those to come included.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when [`Cancel::cancel`] is called.
    pub async fn cancelled(&self) {
        // The sender lives as long as `self`, so this can only end by the value.
        let _ = self.0.subscribe().wait_for(|thrown| *thrown).await;
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}
