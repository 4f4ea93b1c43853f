//! Cancellation: one switch for a whole build, seen by async and blocking code alike.

use tokio::sync::watch;

/// A switch that is thrown once. Clones share it.
#[derive(Debug, Clone)]
pub struct CancelToken(watch::Sender<bool>);

impl Default for CancelToken {
    fn default() -> Self {
        CancelToken(watch::Sender::new(false))
    }
}

impl CancelToken {
    /// A switch that nobody has thrown.
    pub fn new() -> Self {
        Self::default()
    }

    /// Throws the switch.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was thrown.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is thrown.
    pub async fn cancelled(&self) {
        let mut receiver = self.0.subscribe();
        // Cannot fail: we hold a sender ourselves.
        let _ = receiver.wait_for(|thrown| *thrown).await;
    }
}
