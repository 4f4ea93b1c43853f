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

/// A stack of layers, base first. A clone shares them, and one more costs the same whatever is below it.
#[derive(Debug, Clone, Default)]
pub struct Rootfs {
    layers: Vec<Arc<Layer>>,
    chain: Chain,
    hashes: Box<Hashes>,
}

/// Of diff IDs and of identities.
#[derive(Debug, Clone, Default)]
struct Hashes {
    content: Lines,
    identity: Lines,
}

/// A hash of lines in the making.
#[derive(Debug, Clone, Default)]
struct Lines(blake3::Hasher);

impl Lines {
    fn push(&mut self, line: &str) {
        self.0.update(line.as_bytes()).update(b"\n");
    }

    fn digest(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
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
        self.hashes.content.push(layer.diff_id.as_str());
        self.hashes.identity.push(&layer.identity);
        self.layers.push(Arc::new(layer));
    }

    /// As the snapshotter names it.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// One digest of all layers' bytes.
    pub fn content(&self) -> String {
        self.hashes.content.digest()
    }

    /// One digest of all identities, for step keys.
    pub fn identity(&self) -> String {
        self.hashes.identity.digest()
    }
}
