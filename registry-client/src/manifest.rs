//! Manifests and indexes: resolving and fetching.
//!
//! Bytes become a manifest only after size, digest and kind were checked (`manifest_check`). A digest in a
//! header is compared, never trusted: where it is wrong, that is told.

use bytes::Bytes;
use cooper_oci::{Descriptor, Digest, Index, Manifest, Reference, media};
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};

use crate::auth::Scopes;
use crate::call::{Call, target_of};
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Result, Target};
use crate::hosts::Access;
use crate::manifest_check::{bare_type, check, is_known};
use crate::notice::Notice;

pub(crate) const DIGEST_HEADER: &str = "docker-content-digest";

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
        let expected = reference.digest.as_ref();
        let (client, what) = (self, &target);
        let work = self.across(reference, access_to(reference), &target, |endpoint| async move {
            client.head_at(&endpoint, what, expected).await
        });
        match self.unless_cancelled(&target, work).await {
            Ok(descriptor) => Ok(Some(descriptor)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the registry itself has this manifest under the reference's tag, or under its digest if it has no tag.
    /// One question; a registry that cannot answer it has it not.
    pub async fn has_manifest(&self, reference: &Reference, digest: &Digest) -> bool {
        let tag = reference.tag.clone();
        let target = target_of(reference, tag.unwrap_or_else(|| digest.to_string()));
        let work = async {
            let endpoint = self.upstream(reference).await?;
            let url = endpoint.url(&format!("manifests/{}", target.object));
            let scopes = Scopes::pull(&endpoint.repository);
            let mut call = Call::new(&endpoint, &target, scopes, Method::HEAD, url);
            (call.headers, call.once) = (accept(), true);
            self.inner.call(&call).await
        };
        let Ok(reply) = self.unless_cancelled(&target, work).await else { return false };
        let told = reply.response.headers().get(DIGEST_HEADER).and_then(|told| told.to_str().ok());
        reply.response.status() == StatusCode::OK && told == Some(digest.as_str())
    }

    /// A manifest's descriptor at one place; what is not there is an error.
    pub(crate) async fn head_at(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        expected: Option<&Digest>,
    ) -> Result<Descriptor> {
        let url = endpoint.url(&format!("manifests/{}", target.object));
        let mut call = Call::new(endpoint, target, Scopes::pull(&endpoint.repository), Method::HEAD, url);
        call.headers = accept();
        let reply = self.inner.call(&call).await?;
        match reply.response.status() {
            StatusCode::OK => {}
            // Also a 404: some registries have GET only.
            _ => return Ok(self.get_at(endpoint, target, expected).await?.descriptor),
        }
        let headers = reply.response.headers();
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        let digest = match expected {
            Some(digest) => Some(digest.clone()),
            None => text(DIGEST_HEADER).and_then(|d| d.parse().ok()),
        };
        let size = text("content-length").and_then(|n| n.parse::<u64>().ok()).filter(|n| *n > 0);
        let media_type = text("content-type").map(bare_type).filter(|t| is_known(t));
        match (digest, size, media_type) {
            (Some(digest), Some(size), Some(media_type)) => Ok(Descriptor::new(media_type, digest, size)),
            // Many registries leave something out of HEAD.
            _ => Ok(self.get_at(endpoint, target, expected).await?.descriptor),
        }
    }

    pub(crate) async fn get_manifest(
        &self,
        reference: &Reference,
        target: &Target,
        expected: Option<&Digest>,
    ) -> Result<ResolvedManifest> {
        let access = if expected.is_some() { Access::Pull } else { Access::Resolve };
        self.across(reference, access, target, |endpoint| async move {
            self.get_at(&endpoint, target, expected).await
        })
        .await
    }

    async fn get_at(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        expected: Option<&Digest>,
    ) -> Result<ResolvedManifest> {
        let url = endpoint.url(&format!("manifests/{}", target.object));
        let mut call = Call::new(endpoint, target, Scopes::pull(&endpoint.repository), Method::GET, url);
        call.headers = accept();
        let limits = &self.inner.limits;
        let (headers, bytes) = self.inner.fetch(&call, "manifest", limits.manifest_bytes).await?;
        let found = check(target, &headers, bytes, expected, limits.manifest_entries)?;
        let claimed = headers.get(DIGEST_HEADER).and_then(|v| v.to_str().ok()?.parse::<Digest>().ok());
        if let Some(claimed) = claimed.filter(|claimed| !claimed.verifies(&found.bytes)) {
            self.inner.notices.tell(&Notice::WrongDigest {
                target: target.to_string(),
                claimed: claimed.to_string(),
                actual: found.descriptor.digest.to_string(),
            });
        }
        Ok(found)
    }
}

/// What a digest names is got by it; a tag has to be resolved first.
fn access_to(reference: &Reference) -> Access {
    if reference.digest.is_some() { Access::Pull } else { Access::Resolve }
}

/// Digest, else tag, else `latest`.
pub(crate) fn identifier(reference: &Reference) -> String {
    match (&reference.digest, &reference.tag) {
        (Some(digest), _) => digest.to_string(),
        (None, Some(tag)) => tag.clone(),
        (None, None) => "latest".to_owned(),
    }
}

/// The documents that we read; schema 1 is not among them.
pub(crate) fn accept() -> HeaderMap {
    let mut headers = HeaderMap::new();
    // One line: some registries read only the first of several.
    let all = [media::OCI_INDEX, media::OCI_MANIFEST, media::DOCKER_LIST, media::DOCKER_MANIFEST].join(", ");
    headers.extend(HeaderValue::try_from(all).ok().map(|value| (ACCEPT, value)));
    headers
}
