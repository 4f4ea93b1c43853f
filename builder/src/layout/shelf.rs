//! One layout that is read, whatever it lies in.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use cooper_oci::{Descriptor, Digest, Index, media};
use serde::Deserialize;

use super::docker::{self, Image};
use super::{FULL_NAME, Members, REF_NAME, Window, blob_name, directory_blob, spool};
use crate::error::{BuildError, Kind};
use crate::image_source::MAX_MANIFEST_BYTES;

/// Which image of a layout is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// That with this tag or name.
    Tag(Option<String>),
    /// That with this digest.
    Digest(Digest),
    /// That with this place in the list.
    Number(usize),
}

/// A layout to read from.
#[derive(Debug)]
pub(crate) struct Shelf {
    /// As people know it.
    name: String,
    kind: Form,
}

#[derive(Debug)]
enum Form {
    Directory(PathBuf),
    Archive(Members),
    Docker(Box<Image>),
}

impl Shelf {
    /// A directory.
    pub(crate) fn directory(path: &str) -> Shelf {
        Shelf { name: path.to_owned(), kind: Form::Directory(path.into()) }
    }

    /// An archive with a layout.
    pub(crate) fn archive(path: &str) -> Result<Shelf, BuildError> {
        let members = Members::read(path, spool::open(path)?)?;
        if members.has("index.json") {
            return Ok(Shelf { name: path.to_owned(), kind: Form::Archive(members) });
        }
        let error =
            BuildError::user(format!("{path} is no archive of an OCI image layout: it has no index.json"));
        Err(if members.has(docker::LIST) {
            error.hint(format!("it was made by docker save: docker-archive:{path}"))
        } else {
            error
        })
    }

    /// One image of what `docker save` wrote.
    pub(crate) fn docker(path: &str, pick: &Pick) -> Result<Shelf, BuildError> {
        let members = Members::read(path, spool::open(path)?)?;
        let image = Image::find(path, &members, pick)?;
        Ok(Shelf { name: path.to_owned(), kind: Form::Docker(Box::new(image)) })
    }

    /// The same with another image.
    pub(crate) fn with(&self, image: Image) -> Shelf {
        Shelf { name: self.name.clone(), kind: Form::Docker(Box::new(image)) }
    }

    /// What a blob is called in messages.
    pub(crate) fn place(&self, digest: &Digest) -> String {
        match &self.kind {
            Form::Directory(path) => directory_blob(path, digest).display().to_string(),
            Form::Archive(_) | Form::Docker(_) => format!("{} of {}", digest, self.name),
        }
    }

    /// The file that is a blob and nothing else, if there is one.
    pub(crate) fn file(&self, digest: &Digest) -> Option<PathBuf> {
        match &self.kind {
            Form::Directory(path) => Some(directory_blob(path, digest)),
            Form::Archive(_) | Form::Docker(_) => None,
        }
    }

    /// A blob, not verified.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Window, BuildError> {
        match &self.kind {
            Form::Directory(path) => {
                let path = directory_blob(path, digest);
                File::open(&path)
                    .and_then(Window::whole)
                    .map_err(|e| BuildError::user(format!("cannot read {}", path.display())).caused_by(e))
            }
            Form::Archive(members) => members.find(&blob_name(digest)),
            Form::Docker(image) => image
                .blobs
                .get(digest)
                .cloned()
                .ok_or_else(|| BuildError::new(Kind::Internal, format!("{} has no {digest}", self.name))),
        }
    }

    /// A blob of the size that its descriptor says, not verified otherwise.
    pub(crate) fn sized_blob(&self, blob: &Descriptor) -> Result<Window, BuildError> {
        let window = self.blob(&blob.digest)?;
        let (has, says) = (window.size_bytes(), blob.size);
        if has == says {
            return Ok(window);
        }
        let place = self.place(&blob.digest);
        Err(BuildError::user(format!("{place} is damaged: it has {has} bytes, its descriptor says {says}")))
    }

    /// A small blob, verified.
    pub(crate) fn small(&self, digest: &Digest, max_bytes: u64) -> Result<Vec<u8>, BuildError> {
        if let Form::Docker(image) = &self.kind
            && image.descriptor.digest == *digest
        {
            return Ok(image.manifest.clone());
        }
        let bytes = self.blob(digest)?.bytes(max_bytes).map_err(|e| self.unreadable(digest, e))?;
        if digest.verifies(&bytes) {
            return Ok(bytes);
        }
        Err(BuildError::user(format!("{} is damaged: {digest} has another content", self.name)))
    }

    fn unreadable(&self, digest: &Digest, e: io::Error) -> BuildError {
        BuildError::user(format!("cannot read {}", self.place(digest))).caused_by(e)
    }

    fn index(&self) -> Result<Index, BuildError> {
        let bytes = match &self.kind {
            Form::Directory(path) => {
                let index = File::open(path.join("index.json")).and_then(Window::whole);
                index.and_then(|w| w.bytes(MAX_MANIFEST_BYTES)).map_err(|e| {
                    BuildError::user(format!("{} is not an OCI image layout", self.name))
                        .caused_by(e)
                        .hint("an OCI layout is a directory with `oci-layout`, `index.json` and `blobs/`")
                })?
            }
            Form::Archive(members) => members.find("index.json")?.bytes(MAX_MANIFEST_BYTES).map_err(|e| {
                BuildError::user(format!("cannot read index.json of {}", self.name)).caused_by(e)
            })?,
            Form::Docker(image) => return Ok(Index::new(vec![image.descriptor.clone()])),
        };
        serde_json::from_slice(&bytes)
            .map_err(|e| BuildError::user(format!("index.json of {} is malformed", self.name)).caused_by(e))
    }

    /// The manifest or index that is meant.
    pub(crate) fn entry(&self, pick: &Pick) -> Result<Descriptor, BuildError> {
        let mut manifests = match &self.kind {
            // It was picked before.
            Form::Docker(image) => return Ok(image.descriptor.clone()),
            _ => self.index()?.manifests,
        };
        match pick {
            Pick::Digest(digest) => match manifests.iter().position(|m| m.digest == *digest) {
                Some(at) => Ok(manifests.swap_remove(at)),
                None => self.unlisted(digest),
            },
            Pick::Number(at) if *at < manifests.len() => Ok(manifests.swap_remove(*at)),
            Pick::Number(_) => Err(BuildError::user(format!("{} has {} images", self.name, manifests.len()))),
            Pick::Tag(tag) => {
                let wanted = tag.as_deref().unwrap_or("latest");
                let at = manifests.iter().position(|entry| is_called(entry, wanted));
                let at = at.or_else(|| manifests.iter().position(|entry| is_short_for(wanted, entry)));
                if let Some(at) = at.or_else(|| self.only(tag.as_deref(), &manifests)) {
                    return Ok(manifests.swap_remove(at));
                }
                let names: Vec<&str> = manifests.iter().filter_map(name_of).collect();
                let error =
                    BuildError::user(format!("the OCI layout {} has no image tagged `{wanted}`", self.name));
                Err(error.hint(format!("its tags are: {}", names.join(", "))))
            }
        }
    }

    /// What is meant by a tag that there is not, or by none.
    fn only(&self, tag: Option<&str>, manifests: &[Descriptor]) -> Option<usize> {
        let first = manifests.first()?;
        let one = manifests.iter().all(|m| m.digest == first.digest);
        match &self.kind {
            Form::Archive(_) => (one && tag.is_none()).then_some(0),
            _ => (manifests.len() == 1 && !first.annotations.contains_key(REF_NAME)).then_some(0),
        }
    }

    /// A manifest below an index, judged by its own media type.
    fn unlisted(&self, digest: &Digest) -> Result<Descriptor, BuildError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            media_type: Option<String>,
        }
        let bytes = self
            .small(digest, MAX_MANIFEST_BYTES)
            .map_err(|e| BuildError::user(format!("{} has no manifest {digest}", self.name)).caused_by(e))?;
        let head: Head = serde_json::from_slice(&bytes)
            .map_err(|e| BuildError::user(format!("manifest {digest} is malformed")).caused_by(e))?;
        let media_type = head.media_type.unwrap_or_else(|| media::OCI_MANIFEST.into());
        Ok(Descriptor::new(media_type, digest.clone(), bytes.len() as u64))
    }

    /// What is listed and refers to a manifest.
    pub(crate) fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, BuildError> {
        #[derive(Deserialize)]
        struct Referring {
            subject: Option<Descriptor>,
        }
        let mut found: Vec<Descriptor> = Vec::new();
        for entry in self.index()?.manifests {
            if !media::is_manifest(&entry.media_type) && !media::is_index(&entry.media_type) {
                continue;
            }
            let bytes = self.small(&entry.digest, MAX_MANIFEST_BYTES)?;
            let about = serde_json::from_slice::<Referring>(&bytes).ok().and_then(|m| m.subject);
            let known = found.iter().any(|d| d.digest == entry.digest);
            if about.is_some_and(|s| s.digest == *subject) && !known {
                found.push(entry);
            }
        }
        Ok(found)
    }
}

fn name_of(entry: &Descriptor) -> Option<&str> {
    let name = entry.annotations.get(REF_NAME).or_else(|| entry.annotations.get(FULL_NAME));
    name.map(String::as_str)
}

fn is_called(entry: &Descriptor, wanted: &str) -> bool {
    let name = entry.annotations.get(REF_NAME).map(String::as_str);
    let full = entry.annotations.get(FULL_NAME).map(String::as_str);
    name == Some(wanted) || full.is_some_and(|f| f.rsplit_once(':').is_some_and(|(_, tag)| tag == wanted))
}

/// Whether a name means the one that an entry has in full, as podman writes it.
fn is_short_for(wanted: &str, entry: &Descriptor) -> bool {
    let names = [REF_NAME, FULL_NAME].map(|key| entry.annotations.get(key));
    names.into_iter().flatten().any(|name| name.contains('/') && docker::same_name(name, wanted))
}
