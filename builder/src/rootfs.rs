//! Root filesystems as the solver sees them: a stack of layers, each with an identity that counts for keys.

use std::sync::Arc;

use cooper_oci::Digest;
use cooper_snapshotter::Chain;

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// SHA-256 of its uncompressed tar.
    pub diff_id: Digest,
    /// What counts for step keys: for layers made here the step's key and the content without times, for pulled ones the
    /// diff ID.
    pub identity: String,
    /// When it was made, Unix seconds; `None` for base layers, whose history says it.
    pub created_seconds: Option<i64>,
}

/// A stack of layers, base first. A clone shares them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rootfs {
    layers: Vec<Arc<Layer>>,
    chain: Chain,
}

impl Rootfs {
    /// The layers.
    pub fn layers(&self) -> &[Arc<Layer>] {
        &self.layers
    }

    /// The same with one more layer on top.
    #[must_use]
    pub fn with(&self, layer: Layer) -> Rootfs {
        let mut rootfs = self.clone();
        rootfs.push(layer);
        rootfs
    }

    /// Puts a layer on top.
    pub fn push(&mut self, layer: Layer) {
        self.chain.push(layer.diff_id.clone());
        self.layers.push(Arc::new(layer));
    }

    /// As the snapshotter names it.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// One digest of all layers' bytes.
    pub fn content(&self) -> String {
        digest(self.layers.iter().map(|l| l.diff_id.as_str()))
    }

    /// One digest of all identities, for step keys.
    pub fn identity(&self) -> String {
        digest(self.layers.iter().map(|l| l.identity.as_str()))
    }
}

fn digest<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut hasher = blake3::Hasher::new();
    for line in lines {
        hasher.update(line.as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize().to_hex().to_string()
}
