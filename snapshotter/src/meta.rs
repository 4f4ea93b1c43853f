//! `snapshots/<id>/meta`: what a snapshot is.

use cooper_oci::Digest;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::{self, Durability};
use crate::layout::Layout;
use crate::roots::RootLook;

/// The record beside a snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// The layer.
    pub(crate) diff_id: Digest,
    /// Epoch in which the files were last known to be what the manifest says.
    pub(crate) epoch: u64,
    /// Whether the snapshot is right on top of any parents (then its id is the diff ID's hex). Otherwise it is
    /// right only in the chain whose ID it carries; at the bottom of a chain that is the diff ID too.
    pub(crate) self_contained: bool,
    /// Whether there are whiteouts, which must not be seen when the snapshot is the only layer.
    pub(crate) whiteouts: bool,
    /// What the layer says about the root directory, if it says anything.
    #[serde(default)]
    pub(crate) root: Option<RootLook>,
    /// Whether this program made the layer, and can make its tar again from the snapshot.
    #[serde(default)]
    pub(crate) made_here: bool,
    /// Space in use.
    pub(crate) disk_bytes: u64,
    /// Hash over the whole manifest file, hex.
    pub(crate) manifest: String,
}

/// Reads the record; `None` if the snapshot is missing or its record unreadable.
pub(crate) fn read(layout: &Layout, id: &str) -> Result<Option<Meta>> {
    let Some(bytes) = files::read_record(&layout.snapshot(id).join("meta"))? else { return Ok(None) };
    Ok(serde_json::from_slice(&bytes).ok())
}

/// Writes the record into a directory that is, or becomes, a snapshot.
pub(crate) fn write(tmp: &std::path::Path, dir: &std::path::Path, meta: &Meta) -> Result<()> {
    let bytes =
        serde_json::to_vec(meta).map_err(|error| Error::damaged(dir.join("meta"), error.to_string()))?;
    files::write_record(tmp, dir, "meta", &bytes, Durability::Process)
}

/// Writes the record into a directory that nobody looks at yet.
pub(crate) fn create(dir: &std::path::Path, meta: &Meta) -> Result<()> {
    let path = dir.join("meta");
    let bytes = serde_json::to_vec(meta).map_err(|error| Error::damaged(&path, error.to_string()))?;
    files::create_record(&path, &bytes)
}
