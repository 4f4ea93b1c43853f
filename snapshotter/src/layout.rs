//! Where things are in the store's directory.
//!
//! ```text
//! version                       the format, one number
//! epoch                         count of unclean stops (see `epoch`)
//! blobs/<algorithm>/<hex>       manifests, configs, compressed layers; immutable
//! partial/<algorithm>-<hex>     blobs that were not finished (see `partial`)
//! snapshots/<id>/fs             an unpacked layer in overlay upper form
//! snapshots/<id>/tree           its tree manifest (see `tree`)
//! snapshots/<id>/meta           record: what it is, and the epoch in which it was last known good
//! roots/<mode>-<uid>-<gid>/     empty directories that look like a root (see `roots`)
//! layers/<hex of diff ID>       record: LayerInfo as JSON
//! steps/<key>                   record: what a step produced
//! images/<encoded name>         record: ImageRecord as JSON
//! contexts/<encoded name>       record: stat index of a build context
//! mounts/<encoded id>[.N]/      cache mounts
//! uploads/                      the registry client's notes of unfinished pushes
//! locks/                        flock files; tmp/ work in progress of live sessions; empty/ an empty directory
//! ```

use std::path::{Path, PathBuf};

use cooper_oci::Digest;

use crate::files::encode_name;

/// Paths of one store.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Directories that every store has.
    pub(crate) const DIRS: [&str; 13] = [
        "blobs/sha256",
        "blobs/sha512",
        "partial",
        "snapshots",
        "roots",
        "layers",
        "steps",
        "images",
        "contexts",
        "mounts",
        "locks",
        "tmp",
        "empty",
    ];

    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn version(&self) -> PathBuf {
        self.root.join("version")
    }

    pub(crate) fn blob_dir(&self, algorithm: &str) -> PathBuf {
        self.root.join("blobs").join(algorithm)
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blob_dir(digest.algorithm().as_str()).join(digest.hex())
    }

    pub(crate) fn partials(&self) -> PathBuf {
        self.root.join("partial")
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    pub(crate) fn snapshot(&self, id: &str) -> PathBuf {
        self.snapshots().join(id)
    }

    pub(crate) fn roots(&self) -> PathBuf {
        self.root.join("roots")
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(crate) fn steps(&self) -> PathBuf {
        self.root.join("steps")
    }

    pub(crate) fn step(&self, key: &str) -> PathBuf {
        self.steps().join(encode_name(key))
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub(crate) fn contexts(&self) -> PathBuf {
        self.root.join("contexts")
    }

    pub(crate) fn mounts(&self) -> PathBuf {
        self.root.join("mounts")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    pub(crate) fn gc_lock(&self) -> PathBuf {
        self.locks().join("gc")
    }

    pub(crate) fn use_lock(&self) -> PathBuf {
        self.locks().join("store")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn empty(&self) -> PathBuf {
        self.root.join("empty")
    }
}
