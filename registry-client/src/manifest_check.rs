//! When bytes are a manifest.
//!
//! Owns the rule that the media type of the answer and of the document must agree, that an answer without one is
//! taken only of what was asked for by digest, that a document which reads as both a manifest and an index is
//! refused, and that size, nesting and entries are bounded.

use bytes::Bytes;
use cooper_oci::{Descriptor, Digest, media};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::{Error, Result, Target};
use crate::manifest::ResolvedManifest;

pub(crate) fn bare_type(header: &str) -> String {
    header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

pub(crate) fn is_known(media_type: &str) -> bool {
    media::is_index(media_type) || media::is_manifest(media_type)
}

/// As much of a document as tells its kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<IgnoredAny>,
    layers: Option<Vec<IgnoredAny>>,
    manifests: Option<Vec<IgnoredAny>>,
    fs_layers: Option<IgnoredAny>,
}

/// Makes a [`ResolvedManifest`] of an answer, or says why it is none.
pub(crate) fn check(
    target: &Target,
    headers: &HeaderMap,
    bytes: Bytes,
    expected: Option<&Digest>,
    most_entries: usize,
) -> Result<ResolvedManifest> {
    let digest = match expected {
        Some(expected) => {
            let mut hasher = expected.hasher();
            hasher.update(&bytes);
            let actual = hasher.finish();
            if actual != *expected {
                return Err(Error::DigestMismatch {
                    target: target.boxed(),
                    expected: expected.clone(),
                    actual,
                });
            }
            actual
        }
        None => Digest::sha256_of(&bytes),
    };
    let probe: Probe = serde_json::from_slice(&bytes)
        .map_err(|_| Error::protocol(target, "the answer is not a manifest"))?;
    let served = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(bare_type);
    let served = served.as_deref();
    let old = served.is_some_and(|t| t.starts_with("application/vnd.docker.distribution.manifest.v1"));
    if probe.schema_version == Some(1) || probe.fs_layers.is_some() || old {
        return Err(Error::protocol(
            target,
            "the registry has only a schema 1 manifest, which is no longer supported; push the image again with a current tool",
        ));
    }
    let untyped = served.is_none_or(str::is_empty);
    if untyped && expected.is_none() {
        return Err(Error::protocol(
            target,
            "the answer has no media type; only what is asked for by its digest is taken by its own word",
        ));
    }
    let generic =
        untyped || matches!(served, Some("text/plain" | "application/json" | "application/octet-stream"));
    let media_type = match (served, probe.media_type.as_deref()) {
        (Some(served), None) if is_known(served) => served.to_owned(),
        (Some(served), Some(own)) if is_known(served) && served == own => served.to_owned(),
        (_, Some(own)) if generic && is_known(own) => own.to_owned(),
        (Some(served), Some(own)) if is_known(served) => {
            let what = format!(
                "ambiguous manifest: served as {served}, but it says {}",
                crate::error::printable(own)
            );
            return Err(Error::protocol(target, what));
        }
        (served, own) => {
            let kind = own.or(served).map(crate::error::printable).unwrap_or_default();
            return Err(Error::protocol(target, format!("not a manifest of a known kind: {kind:?}")));
        }
    };
    let is_index = media::is_index(&media_type);
    let both = probe.manifests.is_some() && (probe.layers.is_some() || probe.config.is_some());
    let wrong =
        if is_index { probe.manifests.is_none() } else { probe.config.is_none() || probe.layers.is_none() };
    if both {
        return Err(Error::protocol(target, "ambiguous manifest: both a manifest and an index"));
    }
    if wrong {
        return Err(Error::protocol(
            target,
            format!("the answer is not what its media type {media_type} says"),
        ));
    }
    let entries = probe.layers.or(probe.manifests).map_or(0, |list| list.len());
    if entries > most_entries {
        return Err(Error::protocol(
            target,
            format!("manifest has {entries} entries, more than {most_entries}"),
        ));
    }
    let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
    Ok(ResolvedManifest { descriptor, bytes })
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
