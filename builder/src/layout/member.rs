//! What archives of images consist of, as tar members and documents.

use std::io::Write;

use cooper_oci::tar::{Entry, EntryKind, Writer};
use cooper_oci::{Descriptor, Digest, Reference};

use super::{FULL_NAME, REF_NAME, blob_name};
use crate::assemble::json;
use crate::error::BuildError;

/// The content of `oci-layout`.
pub(crate) const MARK: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// What an archive begins with.
pub(crate) fn append_folders<W: Write>(tar: &mut Writer<W>) -> std::io::Result<()> {
    for dir in ["blobs/", "blobs/sha256/"] {
        tar.append(&Entry { kind: EntryKind::Dir, mode: 0o755, ..file(dir, 0) })?;
    }
    Ok(())
}

/// A blob in an archive.
pub(crate) fn blob(digest: &Digest, size_bytes: u64) -> Entry {
    file(&blob_name(digest), size_bytes)
}

/// A file of the archive.
pub(crate) fn file(path: &str, size: u64) -> Entry {
    Entry { path: path.as_bytes().to_vec(), kind: EntryKind::File, mode: 0o644, size, ..Entry::default() }
}

/// The content of `manifest.json`, by which `docker load` of any age finds config and layers.
pub(crate) fn docker_list(
    config: &Digest,
    names: &[Reference],
    layers: &[String],
) -> Result<Vec<u8>, BuildError> {
    // Docker refuses names without a tag here, and podman with a digest.
    let tagged = |name: &Reference| {
        let tag = name.tag_or_latest()?;
        Some(format!("{}:{tag}", name.familiar_name()))
    };
    json(&serde_json::json!([{
        "Config": blob_name(config),
        "RepoTags": names.iter().filter_map(tagged).collect::<Vec<_>>(),
        "Layers": layers,
    }]))
}

/// An entry of `index.json` for an image with a name.
pub(crate) fn named(mut entry: Descriptor, name: &Reference) -> Descriptor {
    entry.annotations.insert(FULL_NAME.into(), name.to_string());
    if let Some(tag) = &name.tag {
        entry.annotations.insert(REF_NAME.into(), tag.clone());
    }
    entry
}
