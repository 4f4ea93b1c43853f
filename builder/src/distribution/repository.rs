//! What a repository of a registry holds: its tags, and their end.

use cooper_oci::{Digest, Reference};
use cooper_registry_client::{Error, ErrorKind};

use super::{Images, refused};
use crate::error::{BuildError, Kind};

/// Answers of registries that cannot take away a tag alone: 400 and 405 by the specification, 501 by some.
const NO_TAG_DELETION: [u16; 4] = [400, 404, 405, 501];

/// What to delete of an image that is named by tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// The tag only.
    Tag,
    /// The image, and with it all tags that name it.
    Image,
}

impl Images {
    /// The tags of a repository, sorted: all, or at most `most` of those that come after `last`.
    pub async fn tags(
        &self,
        repository: &Reference,
        last: Option<&str>,
        most: Option<usize>,
    ) -> Result<Vec<String>, BuildError> {
        let most = most.unwrap_or(usize::MAX);
        self.client.list_tags_after(repository, last, most).await.map_err(refused)
    }

    /// Deletes a tag or an image from its registry; gives back what was deleted.
    pub async fn delete(&self, reference: &Reference, deletion: Deletion) -> Result<Reference, BuildError> {
        let mut doomed = reference.clone();
        if reference.digest.is_none() {
            let tag = reference.tag_or_latest().unwrap_or("latest").to_owned();
            doomed = reference.with_tag(tag);
            let found = self.client.head_manifest(&doomed).await.map_err(refused)?;
            let Some(found) = found else { return Err(absent(&doomed)) };
            if deletion == Deletion::Tag {
                return match self.client.delete_manifest(&doomed).await {
                    Ok(true) => Ok(doomed),
                    Ok(false) => Err(tag_stays(&doomed, &found.digest, None)),
                    Err(e) if e.answer().is_some_and(|a| NO_TAG_DELETION.contains(&a.status)) => {
                        Err(tag_stays(&doomed, &found.digest, Some(e)))
                    }
                    Err(e) => Err(refused(e)),
                };
            }
            doomed = Reference { tag: None, digest: Some(found.digest), ..doomed };
        }
        doomed.tag = None;
        if let Some(digest) = &doomed.digest {
            self.client.forget_referrer(&doomed, digest).await.map_err(refused)?;
        }
        match self.client.delete_manifest(&doomed).await {
            Ok(true) => Ok(doomed),
            Ok(false) => Err(absent(&doomed)),
            Err(e) if e.kind() == ErrorKind::Protocol && e.answer().is_some_and(|a| a.status == 405) => {
                Err(refused(e).hint("the registry is set up not to delete anything"))
            }
            Err(e) => Err(refused(e)),
        }
    }
}

fn absent(reference: &Reference) -> BuildError {
    BuildError::new(Kind::Absent, format!("{reference}: not found, or no access to it"))
}

fn tag_stays(reference: &Reference, digest: &Digest, error: Option<Error>) -> BuildError {
    let error_text = error.map(|e| format!(" ({e})")).unwrap_or_default();
    BuildError::new(
        Kind::Remote,
        format!("{reference}: the registry does not take away a tag alone{error_text}"),
    )
    .hint(format!("--all-tags deletes {digest} itself, and with it every tag that names it"))
}
