//! Manifests and indexes: resolving, fetching, pushing, deleting.
//!
//! Owns the rule that bytes become a manifest only after size, digest and kind were checked: the media
//! type of the answer and of the document must agree, and a document that reads as both a manifest and
//! an index is refused. A digest in a header is compared, never trusted.

use bytes::Bytes;
use cooper_oci::{Descriptor, Digest, Index, Manifest, Reference, media};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::auth::Scopes;
use crate::call::{Call, target_of};
use crate::client::Client;
use crate::error::{Error, Result, Target};
use crate::retry::Failure;
use crate::transport::Reply;

const DIGEST_HEADER: &str = "docker-content-digest";

/// A manifest or index whose digest and kind were checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedManifest {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// The bytes, exactly as the registry holds them.
    pub bytes: Bytes,
}

/// What a [`ResolvedManifest`] says.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one exists at a time, and not for long")]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// A choice of images.
    Index(Index),
}

impl ResolvedManifest {
    /// Reads the bytes as what their media type says.
    pub fn parse(&self) -> Result<Document> {
        let target = Target { object: self.descriptor.digest.to_string(), ..Target::default() };
        let wrong = |e: serde_json::Error| Error::protocol(&target, format!("manifest cannot be read: {e}"));
        if media::is_index(&self.descriptor.media_type) {
            serde_json::from_slice(&self.bytes).map(Document::Index).map_err(wrong)
        } else {
            serde_json::from_slice(&self.bytes).map(Document::Manifest).map_err(wrong)
        }
    }
}

impl Client {
    /// Fetches what a reference names: its digest if it has one, else its tag (`latest` by default).
    pub async fn resolve(&self, reference: &Reference) -> Result<ResolvedManifest> {
        let target = target_of(reference, identifier(reference));
        self.unless_cancelled(&target, self.get_manifest(reference, &target, reference.digest.as_ref())).await
    }

    /// Fetches a manifest by digest from a reference's repository; its tag and digest are not used.
    pub async fn fetch_manifest(&self, reference: &Reference, digest: &Digest) -> Result<ResolvedManifest> {
        let target = target_of(reference, digest);
        self.unless_cancelled(&target, self.get_manifest(reference, &target, Some(digest))).await
    }

    /// Asks for a manifest's descriptor; `None` if there is no such manifest. A digest learned by tag
    /// is the registry's claim until the manifest is fetched by it.
    pub async fn head_manifest(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        let target = target_of(reference, identifier(reference));
        self.unless_cancelled(&target, self.head_manifest_inner(reference, &target)).await
    }

    async fn head_manifest_inner(
        &self,
        reference: &Reference,
        target: &Target,
    ) -> Result<Option<Descriptor>> {
        let endpoint = self.endpoint(&reference.registry)?;
        let url = endpoint.url(&format!("{}/manifests/{}", reference.repository, target.object));
        let mut call = Call::new(&endpoint, target, Scopes::pull(&reference.repository), Method::HEAD, url);
        call.headers = accept();
        let reply = self.inner.call(&call).await?;
        match reply.response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return self.by_get(reference, target).await,
        }
        let headers = reply.response.headers();
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        let digest = match &reference.digest {
            Some(digest) => Some(digest.clone()),
            None => text(DIGEST_HEADER).and_then(|d| d.parse().ok()),
        };
        let size = text("content-length").and_then(|n| n.parse::<u64>().ok()).filter(|n| *n > 0);
        let media_type = text("content-type").map(bare_type).filter(|t| is_known(t));
        match (digest, size, media_type) {
            (Some(digest), Some(size), Some(media_type)) => {
                Ok(Some(Descriptor::new(media_type, digest, size)))
            }
            // Many registries leave something out of HEAD.
            _ => self.by_get(reference, target).await,
        }
    }

    async fn by_get(&self, reference: &Reference, target: &Target) -> Result<Option<Descriptor>> {
        match self.get_manifest(reference, target, reference.digest.as_ref()).await {
            Ok(manifest) => Ok(Some(manifest.descriptor)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn get_manifest(
        &self,
        reference: &Reference,
        target: &Target,
        expected: Option<&Digest>,
    ) -> Result<ResolvedManifest> {
        let endpoint = self.endpoint(&reference.registry)?;
        let url = endpoint.url(&format!("{}/manifests/{}", reference.repository, target.object));
        let mut call = Call::new(&endpoint, target, Scopes::pull(&reference.repository), Method::GET, url);
        call.headers = accept();
        let mut attempts = self.inner.attempts();
        loop {
            let reply = self.inner.call(&call).await?;
            if reply.response.status() != StatusCode::OK {
                return Err(self.inner.refuse(target, reply).await);
            }
            let headers = reply.response.headers().clone();
            let limit = self.inner.limits.manifest_bytes;
            match self.inner.transport.body(target, reply.response, "manifest", limit).await {
                Ok(bytes) => {
                    return check(target, &headers, bytes, expected, self.inner.limits.manifest_entries);
                }
                Err(error) => match error.failure() {
                    Some(failure) if attempts.again(&failure).await => {}
                    _ => return Err(error.into()),
                },
            }
        }
    }

    /// Stores a manifest under the reference's tag, or under its digest if it has no tag. The bytes go
    /// out exactly as they are; their digest must be the reference's if it has one.
    pub async fn push_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Result<Digest> {
        let bytes = bytes.into();
        let digest = match &reference.digest {
            Some(expected) => {
                let mut hasher = expected.hasher();
                hasher.update(&bytes);
                let actual = hasher.finish();
                if actual != *expected {
                    let target = target_of(reference, expected);
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
        let place = match (&reference.tag, &reference.digest) {
            (Some(tag), _) => tag.clone(),
            (None, Some(digest)) => digest.to_string(),
            (None, None) => "latest".to_owned(),
        };
        let target = target_of(reference, &place);
        let work = self.put_manifest(reference, &target, media_type, bytes, &digest);
        self.unless_cancelled(&target, work).await?;
        Ok(digest)
    }

    async fn put_manifest(
        &self,
        reference: &Reference,
        target: &Target,
        media_type: &str,
        bytes: Bytes,
        digest: &Digest,
    ) -> Result<()> {
        let endpoint = self.endpoint(&reference.registry)?;
        let url = endpoint.url(&format!("{}/manifests/{}", reference.repository, target.object));
        let mut call = Call::new(&endpoint, target, Scopes::push(&reference.repository), Method::PUT, url);
        let media_type =
            HeaderValue::try_from(media_type).map_err(|_| Error::protocol(target, "not a media type"))?;
        call.body = Some((media_type, bytes));
        let mut attempts = self.inner.attempts();
        loop {
            let reply = self.inner.call(&call).await?;
            let status = reply.response.status();
            if status.is_success() {
                return stored(target, &reply, digest);
            }
            let error = self.inner.refuse(target, reply).await;
            let answer = error.answer();
            let has = |code: &str| answer.is_some_and(|a| a.has_code(code));
            // A registry may need a moment until it sees the blobs that it has just confirmed.
            if has("MANIFEST_BLOB_UNKNOWN") || has("BLOB_UNKNOWN") {
                if attempts.again(&Failure::default()).await {
                    continue;
                }
            } else if matches!(status.as_u16(), 400 | 409 | 412) {
                // An immutable tag that already is what we want it to be is no failure.
                let tagged = Reference { digest: None, ..reference.clone() };
                let there = self.head_manifest_inner(&tagged, target).await;
                if there.is_ok_and(|d| d.is_some_and(|d| d.digest == *digest)) {
                    return Ok(());
                }
            }
            return Err(error);
        }
    }

    /// Deletes a manifest by digest, or a tag where the registry can; `false` if it was not there.
    pub async fn delete_manifest(&self, reference: &Reference) -> Result<bool> {
        let target = target_of(reference, identifier(reference));
        let endpoint = self.endpoint(&reference.registry)?;
        let url = endpoint.url(&format!("{}/manifests/{}", reference.repository, target.object));
        let call = Call::new(&endpoint, &target, Scopes::delete(&reference.repository), Method::DELETE, url);
        let reply = self.unless_cancelled(&target, self.inner.call(&call)).await?;
        match reply.response.status().as_u16() {
            200..=299 => Ok(true),
            404 => Ok(false),
            _ => Err(self.inner.refuse(&target, reply).await),
        }
    }
}

/// Digest, else tag, else `latest`.
fn identifier(reference: &Reference) -> String {
    match (&reference.digest, &reference.tag) {
        (Some(digest), _) => digest.to_string(),
        (None, Some(tag)) => tag.clone(),
        (None, None) => "latest".to_owned(),
    }
}

/// The documents that we read; schema 1 is not among them.
fn accept() -> HeaderMap {
    let mut headers = HeaderMap::new();
    // One line: some registries read only the first of several.
    let all = [media::OCI_INDEX, media::OCI_MANIFEST, media::DOCKER_LIST, media::DOCKER_MANIFEST].join(", ");
    headers.extend(HeaderValue::try_from(all).ok().map(|value| (ACCEPT, value)));
    headers
}

fn bare_type(header: &str) -> String {
    header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_known(media_type: &str) -> bool {
    media::is_index(media_type) || media::is_manifest(media_type)
}

fn stored(target: &Target, reply: &Reply, digest: &Digest) -> Result<()> {
    let claimed = reply.response.headers().get(DIGEST_HEADER).and_then(|v| v.to_str().ok());
    match claimed.and_then(|c| c.parse::<Digest>().ok()) {
        Some(claimed) if claimed != *digest && claimed.algorithm() == digest.algorithm() => {
            Err(Error::DigestMismatch { target: target.boxed(), expected: digest.clone(), actual: claimed })
        }
        _ => Ok(()),
    }
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
fn check(
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
    let generic =
        matches!(served, None | Some("" | "text/plain" | "application/json" | "application/octet-stream"));
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
