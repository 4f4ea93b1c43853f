//! Every number that bounds what a registry can make us do.

use std::time::Duration;

/// Limits of one client.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a manifest or index.
    pub manifest_bytes: u64,
    /// Bytes of a config that is read into memory.
    pub config_bytes: u64,
    /// Bytes of a token service's answer.
    pub token_bytes: u64,
    /// Bytes read of an error's body.
    pub error_bytes: u64,
    /// Bytes of one page of a list of tags or referrers.
    pub page_bytes: u64,
    /// Pages of such a list.
    pub pages: usize,
    /// Tags of a list.
    pub tags: usize,
    /// Entries of a list of referrers.
    pub referrers: usize,
    /// Entries of an index, and layers of a manifest.
    pub manifest_entries: usize,
    /// Manifests and indexes of one copy, those that it meets again included.
    pub copied_manifests: usize,
    /// Blob transfers at once with one registry.
    pub transfers: usize,
    /// Blobs about which one registry is asked at once.
    pub questions: usize,
    /// Connections at once for one blob, if [`Limits::transfers`] has room; 1 means never more.
    pub ranges: usize,
    /// Bytes of such a range. All ranges that come before their turn are held in memory: at most
    /// `(ranges - 1) * range_bytes`, whatever the number of blobs.
    pub range_bytes: u64,
    /// Bytes that a blob must lack to be fetched in ranges.
    pub ranged_from_bytes: u64,
    /// A connection that brings more bytes in each second that it lets us wait does for its blob.
    pub fast_bytes_per_second: u64,
    /// How long a connection is watched for that.
    pub ranged_after: Duration,
    /// Time to connect, TLS included.
    pub connect_timeout: Duration,
    /// Time to the beginning of an answer.
    pub answer_timeout: Duration,
    /// Time without any movement in a transfer.
    pub idle_timeout: Duration,
    /// Time to the answer once an upload is sent; long, as registries hash a blob before they answer.
    pub commit_timeout: Duration,
    /// The least bytes that a download must move in each `idle_timeout`.
    pub slowest_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest_bytes: 4 << 20,
            config_bytes: 8 << 20,
            token_bytes: 64 << 10,
            error_bytes: 64 << 10,
            page_bytes: 8 << 20,
            pages: 1000,
            tags: 100_000,
            referrers: 10_000,
            manifest_entries: 1000,
            copied_manifests: 10_000,
            transfers: 6,
            questions: 12,
            ranges: 4,
            range_bytes: 8 << 20,
            ranged_from_bytes: 64 << 20,
            fast_bytes_per_second: 100 << 20,
            ranged_after: Duration::from_millis(300),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_mins(1),
            idle_timeout: Duration::from_mins(1),
            commit_timeout: Duration::from_mins(10),
            slowest_bytes: 16 << 10,
        }
    }
}
