//! What layers are called: chains of diff IDs, and the facts that are known about one layer.

use std::fmt;

use cooper_oci::Digest;
use serde::{Deserialize, Serialize};

/// Digest of a layer's uncompressed tar.
pub type DiffId = Digest;
/// A layer is named by its diff ID.
pub type LayerId = DiffId;

/// A root file system as a list of layers, base first. The empty chain is `scratch`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Vec<DiffId>", into = "Vec<DiffId>")]
pub struct Chain {
    layers: Vec<DiffId>,
    /// The chain ID of each layer with all below it: made once, so that a layer more costs one hash.
    ids: Vec<Digest>,
}

impl Chain {
    /// A chain of these layers, base first.
    pub fn new(layers: Vec<DiffId>) -> Self {
        layers.into()
    }

    /// The layers, base first.
    pub fn layers(&self) -> &[DiffId] {
        &self.layers
    }

    /// Whether this is `scratch`.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Number of layers.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// The topmost layer.
    pub fn top(&self) -> Option<&DiffId> {
        self.layers.last()
    }

    /// This chain with one more layer on top.
    #[must_use]
    pub fn with(&self, layer: DiffId) -> Self {
        let mut chain = self.clone();
        chain.push(layer);
        chain
    }

    /// Puts a layer on top.
    pub fn push(&mut self, layer: DiffId) {
        self.ids.push(match self.ids.last() {
            Some(below) => Digest::sha256_of(format!("{below} {layer}").as_bytes()),
            None => layer.clone(),
        });
        self.layers.push(layer);
    }

    /// The first `count` layers.
    #[must_use]
    pub fn prefix(&self, count: usize) -> Self {
        let count = count.min(self.len());
        Self { layers: self.layers[..count].to_vec(), ids: self.ids[..count].to_vec() }
    }

    /// The chain ID of each layer with all below it, base first.
    pub(crate) fn ids(&self) -> &[Digest] {
        &self.ids
    }

    /// OCI chain ID; `None` for `scratch`.
    pub fn id(&self) -> Option<Digest> {
        self.ids.last().cloned()
    }
}

impl FromIterator<DiffId> for Chain {
    fn from_iter<I: IntoIterator<Item = DiffId>>(layers: I) -> Self {
        let mut chain = Self::default();
        layers.into_iter().for_each(|layer| chain.push(layer));
        chain
    }
}

impl From<Vec<DiffId>> for Chain {
    fn from(layers: Vec<DiffId>) -> Self {
        layers.into_iter().collect()
    }
}

impl From<Chain> for Vec<DiffId> {
    fn from(chain: Chain) -> Self {
        chain.layers
    }
}

/// What a layer holds, whenever it was made: a blake3 hash of its tree manifest without times, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentId(pub String);

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A compressed (or plain) form of a layer, as blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobForm {
    /// Digest of the blob.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Media type with which a manifest names it.
    pub media_type: String,
}

/// What is known about a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInfo {
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// Size of the uncompressed tar in bytes.
    pub size_bytes: u64,
    /// Identity of the content without times.
    pub content: ContentId,
    /// Members, whiteouts included; 0 for an empty layer.
    #[serde(default)]
    pub entries: u64,
    /// Forms of it that exist somewhere: in the store or in a registry.
    #[serde(default)]
    pub blobs: Vec<BlobForm>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_ids_are_those_of_the_image_specification() {
        let chain: Chain =
            ["a", "b", "a", "c"].iter().map(|text| Digest::sha256_of(text.as_bytes())).collect();
        for (index, id) in chain.ids().iter().enumerate() {
            assert_eq!(cooper_oci::chain_id(&chain.layers()[..=index]).as_ref(), Some(id));
            assert_eq!(chain.prefix(index + 1).id().as_ref(), Some(id));
        }
    }
}
