//! Indexes of images that registries hold: made, and their annotations changed.

use std::collections::BTreeSet;

use cooper_oci::{Descriptor, Digest, Index, Platform, Reference, media};
use cooper_registry_client::{CopyOptions, index_of};

use super::index_source::{IndexSource, Located, located};
use super::name::ImageName;
use super::{Document, Images, refused};
use crate::assemble::json;
use crate::error::{BuildError, Kind};
use crate::image_source::parse;

/// BuildKit's mark of an attestation: the digest of the image that it is about.
const ATTESTED: &str = "vnd.docker.reference.digest";

/// Where an annotation goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnnotationPlace {
    /// The index itself.
    Index,
    /// The index's entries: all, or those for a platform.
    Descriptors(Option<Platform>),
}

/// One annotation; an empty value takes it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Where it goes.
    pub place: AnnotationPlace,
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// What to make an index of.
#[derive(Debug, Clone, Default)]
pub struct IndexRequest {
    /// Names that the index gets.
    pub names: Vec<Reference>,
    /// What goes in.
    pub sources: Vec<IndexSource>,
    /// Of one single image make no index: give the image itself the names.
    pub keep_single: bool,
    /// Keep what the first name has now.
    pub append: bool,
    /// Images for these platforms only; empty means all.
    pub platforms: Vec<Platform>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
}

impl Images {
    /// The index that a request asks for; nothing is changed anywhere.
    pub async fn plan_index(&self, request: &IndexRequest) -> Result<Document, BuildError> {
        let mut sources = located(request)?;
        if let (true, Some(name)) = (request.append, request.names.first())
            && self.client.head_manifest(name).await.map_err(refused)?.is_some()
        {
            sources.insert(0, Located::named(name));
        }
        // What is there already goes over byte by byte, so that its digest stays.
        if let ([source], true, true) =
            (sources.as_slice(), request.platforms.is_empty(), request.annotations.is_empty())
        {
            let document = self.resolve(&source.at).await?;
            if request.keep_single || media::is_index(&document.descriptor.media_type) {
                return Ok(document);
            }
        }
        let mut entries = Vec::new();
        for source in &sources {
            entries.extend(source.entries(self).await?);
        }
        // Of two entries for one image the later one says more.
        entries.reverse();
        let mut index = index_of(chosen(entries, &request.platforms)?);
        // Lists of the older kind hold no annotations.
        let docker = |entry: &Descriptor| entry.media_type.starts_with("application/vnd.docker.");
        if index.manifests.iter().all(docker) && request.annotations.is_empty() {
            index.media_type = Some(media::DOCKER_LIST.to_owned());
        }
        annotate(&mut index, &request.annotations)?;
        let bytes = json(&index)?;
        let media_type = index.media_type.unwrap_or_else(|| media::OCI_INDEX.to_owned());
        Ok(Document { descriptor: Descriptor::of(media_type, &bytes), bytes: bytes.into() })
    }

    /// Stores an index under all names of its request, after bringing the images there.
    pub async fn create_index(&self, request: &IndexRequest, index: &Document) -> Result<(), BuildError> {
        let wanted: BTreeSet<Digest> = if media::is_index(&index.descriptor.media_type) {
            let parsed: Index = parse(&index.bytes, &index.descriptor)?;
            parsed.manifests.into_iter().map(|entry| entry.digest).collect()
        } else {
            BTreeSet::from([index.descriptor.digest.clone()])
        };
        let own = request.names.first().filter(|_| request.append);
        let sources: Vec<Reference> = located(request)?.into_iter().map(|source| source.at).collect();
        for name in &request.names {
            for source in own.into_iter().chain(&sources).filter(|s| s.name() != name.name()) {
                let held = match self.client.index_entries(source).await {
                    Ok(held) => held,
                    Err(e) if Some(source) == own && refused_is_absent(&e) => continue,
                    Err(e) => return Err(refused(e)),
                };
                for entry in held.iter().filter(|entry| wanted.contains(&entry.digest)) {
                    let at = |name: &Reference| {
                        Reference { tag: None, ..name.clone() }.with_digest(entry.digest.clone())
                    };
                    Box::pin(self.relay(&at(source), &at(name), &CopyOptions::default())).await?;
                }
            }
            let media_type = &index.descriptor.media_type;
            self.client.push_manifest(name, media_type, index.bytes.clone()).await.map_err(refused)?;
        }
        Ok(())
    }

    /// The index that a name stands for.
    pub async fn index(&self, reference: &Reference) -> Result<(Document, Index), BuildError> {
        let document = self.document(&ImageName::Registry(reference.clone()), None).await?;
        if !media::is_index(&document.descriptor.media_type) {
            return Err(BuildError::user(format!("{reference} is one image, no index"))
                .hint("`cooper index create` makes an index of images"));
        }
        let index = parse(&document.bytes, &document.descriptor)?;
        Ok((document, index))
    }

    /// Changes annotations of an index; the result is stored under the same tag, or under `to`.
    pub async fn annotate_index(
        &self,
        reference: &Reference,
        annotations: &[Annotation],
        to: Option<&str>,
    ) -> Result<Descriptor, BuildError> {
        let (document, mut index) = self.index(reference).await?;
        annotate(&mut index, annotations)?;
        let bytes = json(&index)?;
        let place = match to.or_else(|| reference.tag_or_latest()) {
            Some(tag) => reference.with_tag(tag),
            None => reference.with_digest(Digest::sha256_of(&bytes)),
        };
        let media_type = &document.descriptor.media_type;
        self.client.push_manifest(&place, media_type, bytes.clone()).await.map_err(refused)?;
        Ok(Descriptor::of(media_type.clone(), &bytes))
    }
}

fn refused_is_absent(error: &cooper_registry_client::Error) -> bool {
    error.kind() == cooper_registry_client::ErrorKind::NotFound
}

/// The entries for some platforms, with their attestations.
fn chosen(entries: Vec<Descriptor>, platforms: &[Platform]) -> Result<Vec<Descriptor>, BuildError> {
    if platforms.is_empty() {
        return Ok(entries);
    }
    let fits = |entry: &Descriptor, want: &Platform| {
        entry.platform.as_ref().is_some_and(|p| p.normalized() == want.normalized())
    };
    for want in platforms {
        if !entries.iter().any(|entry| fits(entry, want)) {
            return Err(BuildError::new(Kind::User, format!("no source has an image for {want}")));
        }
    }
    let kept: BTreeSet<_> = entries
        .iter()
        .filter(|entry| platforms.iter().any(|want| fits(entry, want)))
        .map(|entry| entry.digest.to_string())
        .collect();
    let about_kept = |entry: &Descriptor| entry.annotations.get(ATTESTED).is_some_and(|d| kept.contains(d));
    Ok(entries.into_iter().filter(|e| kept.contains(e.digest.as_str()) || about_kept(e)).collect())
}

fn annotate(index: &mut Index, annotations: &[Annotation]) -> Result<(), BuildError> {
    for annotation in annotations {
        let mut met = false;
        let mut set = |all: &mut std::collections::BTreeMap<String, String>| {
            met = true;
            if annotation.value.is_empty() {
                all.remove(&annotation.key);
            } else {
                all.insert(annotation.key.clone(), annotation.value.clone());
            }
        };
        match &annotation.place {
            AnnotationPlace::Index => set(&mut index.annotations),
            AnnotationPlace::Descriptors(platform) => {
                let fits = |entry: &&mut Descriptor| match (platform, &entry.platform) {
                    (None, _) => !entry.annotations.contains_key(ATTESTED),
                    (Some(want), Some(have)) => have.normalized() == want.normalized(),
                    (Some(_), None) => false,
                };
                index.manifests.iter_mut().filter(fits).for_each(|entry| set(&mut entry.annotations));
            }
        }
        if !met {
            let key = &annotation.key;
            return Err(BuildError::user(format!("the index has no entry for the annotation {key}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry(platform: &str, content: &[u8]) -> Descriptor {
        let mut entry = Descriptor::of(media::OCI_MANIFEST, content);
        entry.platform = Some(platform.parse().unwrap());
        entry
    }

    #[test]
    fn attestations_follow_their_image() {
        let (amd, arm) = (entry("linux/amd64", b"a"), entry("linux/arm64", b"b"));
        let mut about = entry("unknown/unknown", b"c");
        about.annotations.insert(ATTESTED.into(), amd.digest.to_string());
        let all = vec![amd.clone(), arm, about.clone()];
        let want = |text: &str| chosen(all.clone(), &[text.parse().unwrap()]);
        assert_eq!(want("linux/amd64").unwrap(), [amd, about]);
        assert_eq!(want("linux/arm64").unwrap().len(), 1);
        assert!(want("linux/s390x").is_err());
    }

    #[test]
    fn annotations_find_their_place() {
        let mut index = Index::new(vec![entry("linux/amd64", b"a"), entry("linux/arm64", b"b")]);
        let one = |place, value: &str| Annotation { place, key: "k".into(), value: value.into() };
        let arm = AnnotationPlace::Descriptors(Some("linux/arm64".parse().unwrap()));
        annotate(&mut index, &[one(AnnotationPlace::Index, "v"), one(arm.clone(), "w")]).unwrap();
        assert_eq!(index.annotations["k"], "v");
        assert!(index.manifests[0].annotations.is_empty());
        assert_eq!(index.manifests[1].annotations["k"], "w");
        annotate(&mut index, &[one(AnnotationPlace::Descriptors(None), ""), one(AnnotationPlace::Index, "")])
            .unwrap();
        assert!(index.annotations.is_empty() && index.manifests[1].annotations.is_empty());
        let none = AnnotationPlace::Descriptors(Some("linux/s390x".parse().unwrap()));
        assert!(annotate(&mut index, &[one(none, "x")]).is_err());
    }
}
