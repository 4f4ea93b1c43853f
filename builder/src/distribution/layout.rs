//! Directories with OCI image layouts as places to copy to (image-spec, image-layout.md): `oci-layout`, `index.json`, and
//! `blobs/<algorithm>/<hex>`.
//!
//! Blobs come to their names complete and verified, `index.json` is replaced as a whole: whoever reads meanwhile sees the
//! state before or after. Writers take turns by a lock of the directory. What refers to an image stands in `index.json`
//! without a tag, as with oras.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cooper_oci::{Descriptor, Digest, HashingReader, Index};
use cooper_sys::fs::{flock_exclusive, write_atomic};

use crate::assemble::json;
use crate::error::BuildError;
use crate::image_source::MAX_MANIFEST_BYTES;
use crate::layout::{FULL_NAME, REF_NAME, Window, directory_blob, member};

/// A directory with an image layout.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    dir: PathBuf,
}

fn failed(what: &str, path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let text = format!("cannot {what} {}", path.display());
    move |e| BuildError::user(text).caused_by(e)
}

impl Layout {
    /// A layout to write to; it is made in a directory that is empty or does not exist.
    pub(super) fn make(dir: &str) -> Result<Layout, BuildError> {
        let layout = Layout { dir: dir.into() };
        let dir = &layout.dir;
        std::fs::create_dir_all(dir).map_err(failed("make", dir))?;
        if !dir.join("oci-layout").exists() && !dir.join("index.json").exists() {
            let mut entries = std::fs::read_dir(dir).map_err(failed("read", dir))?;
            if entries.next().is_some() {
                return Err(BuildError::user(format!("{} is no OCI image layout", dir.display()))
                    .hint("a new layout is made in a directory that is empty or does not exist"));
            }
        }
        if !dir.join("oci-layout").exists() {
            write_atomic(dir, "oci-layout", member::MARK)?;
        }
        Ok(layout)
    }

    /// The file of a blob.
    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        directory_blob(&self.dir, digest)
    }

    /// Whether it has a blob, undamaged. Reads the whole.
    pub(super) fn has(&self, blob: &Descriptor) -> bool {
        let Ok(file) = File::open(self.blob(&blob.digest)) else { return false };
        if file.metadata().is_ok_and(|m| m.len() != blob.size) {
            return false;
        }
        let mut reader = HashingReader::with_algorithm(file, blob.digest.algorithm());
        reader.drain().is_ok() && reader.finish().1 == blob.digest
    }

    /// A file that can become a blob by [`Layout::keep`].
    pub(super) fn begin(&self, digest: &Digest) -> Result<tempfile::NamedTempFile, BuildError> {
        let folder = self.dir.join("blobs").join(digest.algorithm().as_str());
        std::fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
        tempfile::Builder::new()
            .prefix(".cooper-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(&folder)
            .map_err(failed("write to", &folder))
    }

    /// Gives a complete and verified blob its name.
    pub(super) fn keep(&self, file: tempfile::NamedTempFile, digest: &Digest) -> Result<(), BuildError> {
        let path = self.blob(digest);
        file.as_file().sync_all().map_err(failed("write", &path))?;
        file.persist(&path).map_err(|e| failed("write", &path)(e.error))?;
        Ok(())
    }

    /// Keeps a small blob.
    pub(super) fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), BuildError> {
        let mut file = self.begin(digest)?;
        io::Write::write_all(&mut file, bytes).map_err(failed("write", &self.blob(digest)))?;
        self.keep(file, digest)
    }

    /// Copies a blob from elsewhere, which is called `place`; it must be what it is said to be.
    pub(super) fn take(&self, from: &Window, place: &str, blob: &Descriptor) -> Result<(), BuildError> {
        let mut file = self.begin(&blob.digest)?;
        let mut reader = HashingReader::with_algorithm(from.reader(0), blob.digest.algorithm());
        io::copy(&mut reader, &mut file).map_err(failed("copy", Path::new(place)))?;
        if reader.finish().1 != blob.digest {
            return Err(BuildError::user(format!("{place} is damaged: it has another content")));
        }
        self.keep(file, &blob.digest)
    }

    fn index(&self) -> Result<Index, BuildError> {
        let path = self.dir.join("index.json");
        let read = File::open(&path).and_then(Window::whole).and_then(|w| w.bytes(MAX_MANIFEST_BYTES));
        match read {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| BuildError::user(format!("{} is malformed", path.display())).caused_by(e)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Index::new(Vec::new())),
            Err(e) => Err(failed("read", &path)(e)),
        }
    }

    /// Lists a manifest: under a tag, which no other has afterwards, or without one.
    pub(super) fn list(&self, manifest: &Descriptor, tag: Option<&str>) -> Result<(), BuildError> {
        let lock = File::open(&self.dir).map_err(failed("open", &self.dir))?;
        flock_exclusive(&lock)?;
        let mut index = self.index()?;
        let mut entry = manifest.clone();
        entry.annotations.remove(REF_NAME);
        entry.annotations.remove(FULL_NAME);
        if let Some(tag) = tag {
            index.manifests.retain(|d| d.annotations.get(REF_NAME).is_none_or(|name| name != tag));
            entry.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        } else if index.manifests.iter().any(|d| d.digest == entry.digest) {
            return Ok(());
        }
        index.manifests.push(entry);
        Ok(write_atomic(&self.dir, "index.json", &json(&index)?)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use cooper_oci::media;

    use super::*;

    #[test]
    fn a_tag_names_one_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new").to_str().unwrap().to_owned();
        let layout = Layout::make(&path).unwrap();
        let (one, two) =
            (Descriptor::of(media::OCI_MANIFEST, b"1"), Descriptor::of(media::OCI_MANIFEST, b"2"));
        layout.list(&one, Some("a")).unwrap();
        layout.list(&one, Some("b")).unwrap();
        layout.list(&two, Some("a")).unwrap();
        layout.list(&two, None).unwrap();
        let index = layout.index().unwrap();
        let names: Vec<_> = index.manifests.iter().map(|d| (&d.digest, &*d.annotations[REF_NAME])).collect();
        assert_eq!(names, [(&one.digest, "b"), (&two.digest, "a")]);
        // What is no layout is left alone.
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join("file"), "x").unwrap();
        Layout::make(other.path().to_str().unwrap()).unwrap_err();
        assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 1);
    }

    #[test]
    fn blobs_are_what_they_are_called() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::make(dir.path().to_str().unwrap()).unwrap();
        let blob = Descriptor::of(media::OCI_LAYER_TAR, b"content");
        assert!(!layout.has(&blob));
        let source = |content: &str| {
            let path = dir.path().join("source");
            std::fs::write(&path, content).unwrap();
            Window::whole(File::open(path).unwrap()).unwrap()
        };
        layout.take(&source("CONTENT"), "source", &blob).unwrap_err();
        assert!(!layout.has(&blob));
        layout.take(&source("content"), "source", &blob).unwrap();
        assert!(layout.has(&blob));
        std::fs::write(layout.blob(&blob.digest), "CONTENT").unwrap();
        assert!(!layout.has(&blob));
        assert_eq!(std::fs::read_dir(dir.path().join("blobs/sha256")).unwrap().count(), 1, "no rest");
    }
}
