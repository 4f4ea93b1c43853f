//! Making indexes of what registries hold.
//!
//! Owns the entry that a manifest gets in an index: its platform comes from the config of its image. The
//! order of entries depends on what they are, not on when they came, so that runners which finish in any
//! order make one and the same index.

use std::collections::BTreeSet;

use cooper_oci::{Descriptor, Index, Platform, Reference, media};

use crate::call::target_of;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::manifest::Document;

impl Client {
    /// The entries that an index of what `reference` names would have: those of an index, or one for an
    /// image with the platform that its config says.
    pub async fn index_entries(&self, reference: &Reference) -> Result<Vec<Descriptor>> {
        let resolved = self.resolve(reference).await?;
        let manifest = match resolved.parse()? {
            Document::Index(index) => return Ok(index.manifests),
            Document::Manifest(manifest) => manifest,
        };
        let mut entry = resolved.descriptor.clone();
        entry.artifact_type.clone_from(&manifest.artifact_type);
        if media::is_config(&manifest.config.media_type) {
            let bytes = self.pull_bytes(reference, &manifest.config).await?;
            let platform: Platform = serde_json::from_slice(&bytes).map_err(|_| {
                Error::protocol(
                    &target_of(reference, &manifest.config.digest),
                    "the config names no platform",
                )
            })?;
            entry.platform = Some(platform);
        }
        Ok(vec![entry])
    }
}

/// An index of entries, each once, sorted by platform, those without one last.
///
/// ```no_run
/// use cooper_registry_client::{Client, index_of};
///
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let mut entries = client.index_entries(&"localhost:5000/app:amd64".parse()?).await?;
/// entries.extend(client.index_entries(&"localhost:5000/app:arm64".parse()?).await?);
/// let index = index_of(entries);
/// let media_type = index.media_type.clone().unwrap_or_default();
/// client.push_manifest(&"localhost:5000/app:1".parse()?, &media_type, serde_json::to_vec(&index)?).await?;
/// # Ok(())
/// # }
/// ```
pub fn index_of(mut entries: Vec<Descriptor>) -> Index {
    let mut seen = BTreeSet::new();
    entries.retain(|entry| seen.insert(entry.digest.clone()));
    entries.sort_by_cached_key(|entry| {
        // Attestations say `unknown/unknown`.
        let platform = entry.platform.as_ref().filter(|p| p.os != "unknown");
        (platform.is_none(), platform.map(ToString::to_string), entry.digest.to_string())
    });
    Index::new(entries)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_order_of_arrival_does_not_matter() {
        let entry = |platform: Option<&str>, content: &[u8]| {
            let mut entry = Descriptor::of(media::OCI_MANIFEST, content);
            entry.platform = platform.map(|p| p.parse().unwrap());
            entry
        };
        let mut attestation = entry(None, b"attestation");
        attestation.platform = Some(Platform::new("unknown", "unknown", None));
        let entries = vec![
            attestation,
            entry(Some("linux/arm64"), b"2"),
            entry(None, b"sbom"),
            entry(Some("linux/amd64"), b"1"),
            entry(Some("linux/arm64"), b"2"),
        ];
        let mut backwards = entries.clone();
        backwards.reverse();
        let index = index_of(entries);
        assert_eq!(index, index_of(backwards));
        assert_eq!(index.manifests.len(), 4);
        assert_eq!(index.manifests[0].platform.as_ref().unwrap().architecture, "amd64");
        assert_eq!(index.manifests[1].platform.as_ref().unwrap().architecture, "arm64");
    }
}
