//! What refers to a manifest: signatures, attestations, SBOMs.
//!
//! Wire: `GET …/referrers/<digest>`, an index that may come in pages. A registry without it keeps the same
//! index under the tag `<algorithm>-<hex>`, which whoever pushes a referrer has to bring up to date. Two
//! writers may do so at once: those of one client take turns; for others the index is written with `If-Match`
//! where it has an entity tag, read again after it was written, and written again if our entry is not in it.
//! (A registry that ignores `If-Match` can still lose the entry of a writer that read it between these two.)

use std::collections::BTreeSet;

use cooper_oci::{Descriptor, Digest, Index, Manifest, Reference, media};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use serde::Deserialize;

use crate::auth::Scopes;
use crate::call::{Call, target_of};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result, Target};
use crate::manifest::{Document, accept};
use crate::manifest_check::{bare_type, check};
use crate::manifest_push::Outbound;
use crate::pages::next_page;
use crate::retry::Failure;

/// How often the index under a fallback tag is written before we give up.
const MAX_WRITES: u32 = 6;

/// As much of a manifest as says what it refers to.
#[derive(Deserialize)]
struct Probe {
    subject: Option<Descriptor>,
}

impl Client {
    /// The manifests of a repository that refer to `subject`, those of one artifact type if one is given.
    /// Empty if there are none, also if there is no such subject.
    ///
    /// ```no_run
    /// # async fn example(client: cooper_registry_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let image: cooper_oci::Reference = "localhost:5000/app:1".parse()?;
    /// let digest = client.resolve(&image).await?.descriptor.digest;
    /// for referrer in client.referrers(&image, &digest, Some("application/spdx+json")).await? {
    ///     let manifest = client.fetch_manifest(&image, &referrer.digest).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn referrers(
        &self,
        reference: &Reference,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>> {
        let target = target_of(reference, subject);
        let work = async {
            let mut found = match self.by_api(reference, &target, subject, artifact_type).await? {
                Some(found) => found,
                None => match self.fallback_index(reference, subject).await? {
                    Some((index, _)) => index.manifests,
                    None => Vec::new(),
                },
            };
            let mut seen = BTreeSet::new();
            // The registry may have filtered, or not.
            found.retain(|d| artifact_type.is_none_or(|t| d.artifact_type.as_deref() == Some(t)));
            found.retain(|d| seen.insert(d.digest.clone()));
            Ok(found)
        };
        self.unless_cancelled(&target, work).await
    }

    /// Asks the registry's API; `None` if it has none.
    async fn by_api(
        &self,
        reference: &Reference,
        target: &Target,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>> {
        let endpoint = self.upstream(reference).await?;
        let limits = &self.inner.limits;
        let mut url = endpoint.url(&format!("referrers/{subject}"));
        if let Some(artifact_type) = artifact_type {
            url.query_pairs_mut().append_pair("artifactType", artifact_type);
        }
        let mut found: Vec<Descriptor> = Vec::new();
        for page in 0..limits.pages {
            let scopes = Scopes::pull(&endpoint.repository);
            let call = Call::new(&endpoint, target, scopes, Method::GET, url.clone());
            let (headers, body) = match self.inner.fetch(&call, "list of referrers", limits.page_bytes).await
            {
                Ok(answer) => answer,
                Err(Error::NotFound { .. } | Error::Status { .. }) if page == 0 => return Ok(None),
                Err(error) => return Err(error),
            };
            let Some(index) = as_index(&headers, &body) else {
                // Some registries answer every unknown address with a page for people.
                let what = "the list of referrers is not an index";
                return if page == 0 { Ok(None) } else { Err(Error::protocol(target, what)) };
            };
            let fresh = !index.manifests.is_empty();
            found.extend(index.manifests);
            if found.len() > limits.referrers {
                return Err(Error::protocol(target, format!("more than {} referrers", limits.referrers)));
            }
            match next_page(&url, &headers).map_err(|what| Error::protocol(target, what))? {
                Some(next) if fresh => url = next,
                Some(_) => return Err(Error::protocol(target, "a page of referrers has nothing on it")),
                None => return Ok(Some(found)),
            }
        }
        Err(Error::protocol(target, format!("list of referrers has more than {} pages", limits.pages)))
    }

    /// The index under the fallback tag with its entity tag; `None` if there is no such tag.
    async fn fallback_index(
        &self,
        reference: &Reference,
        subject: &Digest,
    ) -> Result<Option<(Index, Option<HeaderValue>)>> {
        let tag = fallback_tag(subject);
        let target = target_of(reference, &tag);
        let endpoint = self.upstream(reference).await?;
        let url = endpoint.url(&format!("manifests/{tag}"));
        let mut call = Call::new(&endpoint, &target, Scopes::pull(&endpoint.repository), Method::GET, url);
        call.headers = accept();
        let limits = &self.inner.limits;
        let (headers, bytes) = match self.inner.fetch(&call, "list of referrers", limits.page_bytes).await {
            Ok(answer) => answer,
            // Some registries say "denied" of what is not there.
            Err(Error::NotFound { .. } | Error::Denied { .. } | Error::Auth { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let entity_tag = headers.get(ETAG).cloned();
        match check(&target, &headers, bytes, None, limits.referrers)?.parse()? {
            Document::Index(index) => Ok(Some((index, entity_tag))),
            Document::Manifest(_) => {
                Err(Error::protocol(&target, "the tag that should list referrers is an image"))
            }
        }
    }

    /// Brings the fallback tag up to date for a manifest that has a subject.
    pub(crate) async fn keep_referrer(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: &[u8],
        digest: &Digest,
    ) -> Result<()> {
        let Ok(Probe { subject: Some(subject) }) = serde_json::from_slice(bytes) else { return Ok(()) };
        let target = target_of(reference, fallback_tag(&subject.digest));
        // A registry may have the API and yet not say so when it takes a manifest.
        if let Some(listed) = self.by_api(reference, &target, &subject.digest, None).await?
            && listed.iter().any(|d| d.digest == *digest)
        {
            return Ok(());
        }
        let entry = referrer(media_type, bytes, digest);
        let lock = self.inner.push_lock(&target);
        let _turn = lock.lock().await;
        let endpoint = self.upstream(reference).await?;
        let mut attempts = self.inner.attempts(&endpoint);
        for _ in 0..MAX_WRITES {
            let (mut index, if_match) = match self.fallback_index(reference, &subject.digest).await? {
                Some((index, _)) if index.manifests.iter().any(|d| d.digest == *digest) => return Ok(()),
                Some(there) => there,
                None => (Index::new(Vec::new()), None),
            };
            index.manifests.push(entry.clone());
            let media_type = index.media_type.clone().unwrap_or_else(|| media::OCI_INDEX.to_owned());
            let text = serde_json::to_vec(&index)
                .map_err(|e| Error::protocol(&target, format!("list of referrers: {e}")))?;
            let list = Digest::sha256_of(&text);
            let outbound = Outbound { media_type: &media_type, bytes: text.into(), digest: &list, if_match };
            let plain = Reference { tag: Some(target.object.clone()), digest: None, ..reference.clone() };
            match self.put_manifest(&plain, &target, outbound).await {
                Ok(_) => {}
                Err(error) if error.answer().is_some_and(|a| matches!(a.status, 409 | 412)) => {}
                Err(error) => return Err(error),
            }
            // Whoever wrote at the same time may have won.
            match self.fallback_index(reference, &subject.digest).await? {
                Some((index, _)) if index.manifests.iter().any(|d| d.digest == *digest) => return Ok(()),
                _ if attempts.again(&Failure::default()).await => {}
                _ => break,
            }
        }
        Err(Error::protocol(&target, "the list of referrers is changed by others all the time"))
    }

    /// Takes a manifest out of the list of its subject's referrers, before it is deleted, where the registry
    /// does not do so itself.
    pub async fn forget_referrer(&self, reference: &Reference, digest: &Digest) -> Result<()> {
        let target = target_of(reference, digest);
        let work = async {
            let manifest = match self.get_manifest(reference, &target, Some(digest)).await {
                Ok(manifest) => manifest,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            let Ok(Probe { subject: Some(subject) }) = serde_json::from_slice(&manifest.bytes) else {
                return Ok(());
            };
            let Some((mut index, if_match)) = self.fallback_index(reference, &subject.digest).await? else {
                return Ok(());
            };
            let before = index.manifests.len();
            index.manifests.retain(|d| d.digest != *digest);
            if index.manifests.len() == before {
                return Ok(());
            }
            let media_type = index.media_type.clone().unwrap_or_else(|| media::OCI_INDEX.to_owned());
            let text = serde_json::to_vec(&index)
                .map_err(|e| Error::protocol(&target, format!("list of referrers: {e}")))?;
            let list = Digest::sha256_of(&text);
            let plain =
                Reference { tag: Some(fallback_tag(&subject.digest)), digest: None, ..reference.clone() };
            let place = target_of(&plain, fallback_tag(&subject.digest));
            let outbound = Outbound { media_type: &media_type, bytes: text.into(), digest: &list, if_match };
            self.put_manifest(&plain, &place, outbound).await.map(drop)
        };
        self.unless_cancelled(&target, work).await
    }
}

/// The tag that stands for the list of a manifest's referrers.
fn fallback_tag(subject: &Digest) -> String {
    let clean = |text: &str, most: usize| -> String {
        let part = text.chars().take(most);
        part.map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
    };
    format!("{}-{}", clean(subject.algorithm().as_str(), 32), clean(subject.hex(), 64))
}

/// A manifest's entry in the list of its subject's referrers.
fn referrer(media_type: &str, bytes: &[u8], digest: &Digest) -> Descriptor {
    let mut entry = Descriptor::new(media_type, digest.clone(), bytes.len() as u64);
    if media::is_index(media_type) {
        if let Ok(index) = serde_json::from_slice::<Index>(bytes) {
            (entry.artifact_type, entry.annotations) = (index.artifact_type, index.annotations);
        }
    } else if let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) {
        entry.artifact_type = manifest.artifact_type.or(Some(manifest.config.media_type));
        entry.annotations = manifest.annotations;
    }
    entry
}

/// The index that an answer holds, if it holds one.
fn as_index(headers: &HeaderMap, body: &[u8]) -> Option<Index> {
    let served = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(bare_type);
    if !matches!(served.as_deref(), None | Some(media::OCI_INDEX | "application/json")) {
        return None;
    }
    let index: Index = serde_json::from_slice(body).ok()?;
    (index.schema_version == 2).then_some(index)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn r091_fallback_tags_fit_the_grammar_of_tags() {
        let short = Digest::sha256_of(b"x");
        assert_eq!(fallback_tag(&short), format!("sha256-{}", short.hex()));
        let mut hasher = cooper_oci::Hasher::new(cooper_oci::Algorithm::Sha512);
        hasher.update(b"x");
        let long = hasher.finish();
        assert_eq!(fallback_tag(&long), format!("sha512-{}", &long.hex()[..64]));
        assert!(Reference::is_tag(&fallback_tag(&long)));
    }

    #[test]
    fn entries_say_what_kind_of_artifact_it_is() {
        let config = Descriptor::of("application/vnd.test.config+json", b"{}");
        let mut manifest = Manifest::new(config, Vec::new());
        manifest.annotations.insert("k".into(), "v".into());
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let entry = referrer(media::OCI_MANIFEST, &bytes, &Digest::sha256_of(&bytes));
        assert_eq!(entry.artifact_type.as_deref(), Some("application/vnd.test.config+json"));
        assert_eq!((entry.size, entry.annotations["k"].as_str()), (bytes.len() as u64, "v"));
        manifest.artifact_type = Some("application/spdx+json".into());
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let entry = referrer(media::OCI_MANIFEST, &bytes, &Digest::sha256_of(&bytes));
        assert_eq!(entry.artifact_type.as_deref(), Some("application/spdx+json"));
    }
}
