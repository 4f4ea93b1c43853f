//! Telling the caller how far a transfer is.

use std::sync::Arc;

use cooper_oci::Digest;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the registry.
    Pull,
    /// To the registry.
    Push,
}

/// How far the transfer of one blob is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which way.
    pub direction: Direction,
    /// The blob.
    pub digest: Digest,
    /// Bytes moved. Goes back when a transfer has to be repeated.
    pub done_bytes: u64,
    /// Size of the blob.
    pub total_bytes: u64,
}

/// Called for each part of each transfer; must return soon and must not block.
pub type Observer = Arc<dyn Fn(&Progress) + Send + Sync>;
