//! Storing and deleting manifests.
//!
//! Owns what comes with it: a registry that has not yet seen its own blobs is given time, an immutable tag
//! that already is what we want is no failure, and the referrers of a registry without that API are kept by
//! us (`referrers`).

use bytes::Bytes;
use cooper_oci::{Digest, Reference};
use reqwest::Method;
use reqwest::header::{HeaderValue, IF_MATCH};

use crate::auth::Scopes;
use crate::call::{Call, target_of};
use crate::client::Client;
use crate::error::{Error, Result, Target};
use crate::manifest::{DIGEST_HEADER, identifier};
use crate::retry::Failure;
use crate::transport::Reply;

/// A manifest on its way to a registry.
pub(crate) struct Outbound<'a> {
    pub(crate) media_type: &'a str,
    pub(crate) bytes: Bytes,
    pub(crate) digest: &'a Digest,
    /// Only if the tag still has this entity tag.
    pub(crate) if_match: Option<HeaderValue>,
}

/// How often a manifest is sent to a registry that does not see its blobs. It may have lost them.
const MAX_BLIND: u32 = 4;

impl Client {
    /// Stores a manifest under the reference's tag, or under its digest if it has no tag. The bytes go
    /// out exactly as they are; their digest must be the reference's if it has one.
    ///
    /// A manifest with a `subject` is a referrer of it. Where the registry does not keep the list of
    /// referrers itself, the list under the fallback tag gets the new entry.
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
        let work = async {
            let outbound = Outbound { media_type, bytes: bytes.clone(), digest: &digest, if_match: None };
            let subject_kept = self.put_manifest(reference, &target, outbound).await?;
            if !subject_kept {
                self.keep_referrer(reference, media_type, &bytes, &digest).await?;
            }
            Ok(())
        };
        self.unless_cancelled(&target, work).await?;
        Ok(digest)
    }

    /// Stores a manifest; whether the registry said that it keeps its subject's referrers.
    pub(crate) async fn put_manifest(
        &self,
        reference: &Reference,
        target: &Target,
        outbound: Outbound<'_>,
    ) -> Result<bool> {
        let endpoint = self.upstream(reference).await?;
        let url = endpoint.url(&format!("manifests/{}", target.object));
        let mut call = Call::new(&endpoint, target, Scopes::push(&endpoint.repository), Method::PUT, url);
        let media_type = HeaderValue::try_from(outbound.media_type)
            .map_err(|_| Error::protocol(target, "not a media type"))?;
        call.body = Some((media_type, outbound.bytes));
        call.headers.extend(outbound.if_match.map(|tag| (IF_MATCH, tag)));
        let mut attempts = self.inner.attempts(&endpoint);
        let mut blind = 0;
        loop {
            let reply = self.inner.call(&call).await?;
            let status = reply.response.status();
            if status.is_success() {
                stored(target, &reply, outbound.digest)?;
                return Ok(reply.response.headers().contains_key("oci-subject"));
            }
            let error = self.inner.refuse(target, reply).await;
            let answer = error.answer();
            let has = |code: &str| answer.is_some_and(|a| a.has_code(code));
            // A registry may need a moment until it sees the blobs that it has just confirmed.
            if has("MANIFEST_BLOB_UNKNOWN") || has("BLOB_UNKNOWN") {
                blind += 1;
                if blind < MAX_BLIND && attempts.again(&Failure::default()).await {
                    continue;
                }
            } else if matches!(status.as_u16(), 400 | 409 | 412) {
                // An immutable tag that already is what we want it to be is no failure.
                let there = self.head_at(&endpoint, target, None).await;
                if there.is_ok_and(|d| d.digest == *outbound.digest) {
                    return Ok(false);
                }
            }
            return Err(error);
        }
    }

    /// Deletes a manifest by digest, or a tag where the registry can; `false` if it was not there.
    pub async fn delete_manifest(&self, reference: &Reference) -> Result<bool> {
        let target = target_of(reference, identifier(reference));
        let work = async {
            let endpoint = self.upstream(reference).await?;
            let url = endpoint.url(&format!("manifests/{}", target.object));
            let scopes = Scopes::delete(&endpoint.repository);
            let call = Call::new(&endpoint, &target, scopes, Method::DELETE, url);
            self.inner.call(&call).await
        };
        let reply = self.unless_cancelled(&target, work).await?;
        match reply.response.status().as_u16() {
            200..=299 => Ok(true),
            404 => Ok(false),
            _ => Err(self.inner.refuse(&target, reply).await),
        }
    }
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
