//! Step records: what a step with a key produced.
//!
//! `steps/<key>` holds a [`Record`] as JSON. It is written only after the layer that it names is durable. A second
//! file, `steps/near-<hash>`, names the key that a step with the same instruction text had last; it only serves to
//! explain misses.

use std::fmt::Write as _;

use cooper_oci::Digest;
use cooper_snapshotter::{Chain, Store};
use serde::{Deserialize, Serialize};

use super::key::Inputs;
use crate::error::BuildError;

/// What a step produced.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The named inputs behind the key.
    pub inputs: Inputs,
    /// The layer.
    pub layer: RecordedLayer,
    /// When it was made, Unix seconds.
    pub created_seconds: i64,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
}

/// The layer of a record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedLayer {
    /// Diff ID.
    pub diff_id: Digest,
    /// Content identity without times.
    pub content: String,
}

impl Record {
    /// The record of a key whose layer is still in the store. Anything unreadable is a miss.
    pub fn find(store: &Store, key: &str) -> Option<Record> {
        let record: Record = serde_json::from_slice(&store.get_step(key).ok()??).ok()?;
        let layer = store.layer(&record.layer.diff_id).ok()??;
        // A layer that went to a registry as soon as it was made may have no snapshot.
        let there = store.has_snapshot(&Chain::new(vec![record.layer.diff_id.clone()])).ok()?
            || store.kept_form(&record.layer.diff_id).ok()?.is_some();
        (there && layer.content.0 == record.layer.content).then_some(record)
    }

    /// Writes the record and the pointer for explanations. The layer must be durable already.
    pub fn publish(&self, store: &Store, key: &str, near: &str) -> Result<(), BuildError> {
        let bytes = serde_json::to_vec(self).expect("strings and numbers always serialise");
        store.put_step(key, &bytes)?;
        // To replace a file makes the filesystem write it out at once.
        if store.get_step(near)?.is_none_or(|known| known != key.as_bytes()) {
            store.put_step(near, key.as_bytes())?;
        }
        Ok(())
    }
}

/// Name of the pointer file for steps that do the same thing in the same words.
pub fn near_name(op: &str, words: &str) -> String {
    format!("near-{}", blake3::hash(format!("{op}\0{words}").as_bytes()).to_hex())
}

/// Why there is no record for these inputs, compared with the nearest one.
pub fn explain(store: &Store, near: &str, inputs: &Inputs) -> String {
    let old = store
        .get_step(near)
        .ok()
        .flatten()
        .and_then(|key| String::from_utf8(key).ok())
        .and_then(|key| store.get_step(&key).ok().flatten())
        .and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
    match old {
        None => "not built before".into(),
        Some(old) if old.inputs == *inputs => "its layer is no longer in the store".into(),
        Some(old) => {
            let all = inputs.differences(&old.inputs);
            let more = all.len().saturating_sub(4);
            let mut text = all.into_iter().take(4).collect::<Vec<_>>().join("; ");
            if more > 0 {
                let _ = write!(text, "; and {more} more");
            }
            text
        }
    }
}
