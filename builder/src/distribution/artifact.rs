//! Files in registries: artifacts as oras and other tools of OCI 1.1 make and read them.
//!
//! Wire: a manifest with `artifactType`, an empty config (`{}`) unless one is given, and one layer a file or directory
//! (`packed`), named by the annotation `org.opencontainers.image.title`. Nothing in it depends on time or place: the same files make the same
//! digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use cooper_oci::{Descriptor, HashingReader, Manifest, Platform, Reference, media};
use cooper_registry_client::{FileSource, PushOptions, WriteSink};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tempfile::NamedTempFile;

use super::name::ImageName;
use super::{Images, packed, refused};
use crate::assemble::json;
use crate::error::{BuildError, Kind};
use crate::image_source::parse;
use crate::task;

const TITLE: &str = "org.opencontainers.image.title";
/// What an artifact is if nobody says, as with oras.
const UNKNOWN_TYPE: &str = "application/vnd.unknown.artifact.v1";
const FILE_TYPE: &str = "application/octet-stream";
const FILES_AT_ONCE: usize = 4;

/// A file or directory to push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub media_type: Option<String>,
}

/// An artifact to push.
#[derive(Debug, Clone, Default)]
pub struct Artifact {
    /// What it is; needed by others to find it.
    pub artifact_type: Option<String>,
    /// Its files.
    pub files: Vec<ArtifactFile>,
    /// Its config, if it has one.
    pub config: Option<ArtifactFile>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// The image of the same repository that it is about.
    pub subject: Option<Reference>,
}

/// A pulled file.
#[derive(Debug, Clone)]
pub struct PulledFile {
    /// Where it was written.
    pub path: PathBuf,
    /// Its layer.
    pub descriptor: Descriptor,
    /// Whether it is a directory.
    pub directory: bool,
}

impl Images {
    /// Pushes files as an artifact: under the reference's tag, by digest alone if it has none but there is a subject.
    pub async fn push_artifact(
        &self,
        reference: &Reference,
        artifact: &Artifact,
    ) -> Result<(Descriptor, Manifest), BuildError> {
        let mut layers = Vec::new();
        // Packed directories.
        let mut temporary = Vec::new();
        let mut titles = BTreeSet::new();
        for file in &artifact.files {
            let title = title_of(&file.path)?;
            if !titles.insert(title.clone()) {
                return Err(BuildError::user(format!("two files would be called {title}")));
            }
            let (mut layer, packed) = content(file, &title).await?;
            layer.annotations.insert(TITLE.into(), title);
            layers.push((layer, packed.as_ref().map_or_else(|| file.path.clone(), |p| p.path().to_owned())));
            temporary.extend(packed);
        }
        let subject = match &artifact.subject {
            Some(subject) if subject.name() != reference.name() => {
                return Err(BuildError::user(format!("{subject} is in another repository than {reference}"))
                    .hint("an artifact is found by its subject only in the same repository"));
            }
            Some(subject) => Some(self.descriptor(&ImageName::Registry(subject.clone())).await?),
            None => None,
        };
        let options = PushOptions::default();
        let config = match &artifact.config {
            Some(file) => {
                let config = described(file).await?;
                let source = FileSource(file.path.clone());
                self.client.push_blob(reference, &config, &source, &options).await.map_err(refused)?;
                config
            }
            None => self.push_empty(reference).await?,
        };
        let pushes = layers.iter().map(|(layer, path)| async {
            let source = FileSource(path.clone());
            self.client.push_blob(reference, layer, &source, &options).await.map_err(refused)
        });
        futures_util::stream::iter(pushes).buffer_unordered(FILES_AT_ONCE).try_collect::<Vec<_>>().await?;
        let mut manifest = Manifest::new(config, layers.into_iter().map(|(layer, _)| layer).collect());
        if manifest.layers.is_empty() {
            // The specification wants one.
            manifest.layers.push(self.push_empty(reference).await?);
        }
        manifest.artifact_type = match (&artifact.artifact_type, &artifact.config) {
            (Some(kind), _) => Some(kind.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(UNKNOWN_TYPE.to_owned()),
        };
        manifest.subject = subject.map(|s| Descriptor::new(s.media_type, s.digest, s.size));
        manifest.annotations.clone_from(&artifact.annotations);
        let bytes = json(&manifest)?;
        let descriptor = Descriptor::of(media::OCI_MANIFEST, &bytes);
        let place = match (&reference.tag, manifest.subject.is_some()) {
            (None, true) => reference.with_digest(descriptor.digest.clone()),
            _ => reference.with_tag(reference.tag_or_latest().unwrap_or("latest")),
        };
        self.client.push_manifest(&place, media::OCI_MANIFEST, bytes).await.map_err(refused)?;
        Ok((descriptor, manifest))
    }

    async fn push_empty(&self, reference: &Reference) -> Result<Descriptor, BuildError> {
        let content = Bytes::from_static(b"{}");
        let mut empty = Descriptor::of(media::OCI_EMPTY, &content);
        self.client.push_blob(reference, &empty, &content, &PushOptions::default()).await.map_err(refused)?;
        empty.data = Some("e30=".to_owned());
        Ok(empty)
    }

    /// Writes the files of an artifact into a directory; files of the same names are replaced.
    pub async fn pull_artifact(
        &self,
        name: &ImageName,
        platform: Option<&Platform>,
        dest: &Path,
    ) -> Result<(Descriptor, Vec<PulledFile>), BuildError> {
        let ImageName::Registry(reference) = name else {
            return Err(BuildError::user(format!("{name} is not in a registry")));
        };
        let host = Platform::host();
        let document = self.document(name, Some(platform.unwrap_or(&host))).await?;
        let manifest: Manifest = parse(&document.bytes, &document.descriptor)?;
        let mut wanted = Vec::new();
        let mut paths = BTreeSet::new();
        for layer in &manifest.layers {
            let Some(title) = layer.annotations.get(TITLE) else { continue };
            let path = inside(title).ok_or_else(|| {
                BuildError::new(Kind::Remote, format!("{name}: a file would be written outside: {title:?}"))
            })?;
            if !paths.insert(path.clone()) {
                return Err(BuildError::new(Kind::Remote, format!("{name}: two files are called {title:?}")));
            }
            wanted.push((path, layer.clone()));
        }
        if wanted.is_empty() {
            return Err(BuildError::user(format!("{name} holds no files with names"))
                .hint("an image is pulled by `cooper pull`, its files come out by `cooper export`"));
        }
        std::fs::create_dir_all(dest).map_err(unwritten(dest))?;
        let pulls = wanted.iter().map(|(_, layer)| self.pull_file(reference, layer, dest));
        let files: Vec<_> =
            futures_util::stream::iter(pulls).buffered(FILES_AT_ONCE).try_collect::<Vec<_>>().await?;
        // Nothing stands under its name before all has come.
        let dest = dest.to_owned();
        let files = task::blocking("write files", move || {
            let pairs = wanted.into_iter().zip(files);
            pairs.map(|((path, layer), file)| place(&dest, &path, layer, file)).collect()
        });
        Ok((document.descriptor, files.await?))
    }

    /// A layer as a file in `folder` that has no lasting name yet.
    async fn pull_file(
        &self,
        reference: &Reference,
        layer: &Descriptor,
        folder: &Path,
    ) -> Result<NamedTempFile, BuildError> {
        let temporary = tempfile::Builder::new()
            .prefix(".cooper-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)
            .map_err(unwritten(folder))?;
        let handle = temporary.as_file().try_clone().map_err(unwritten(temporary.path()))?;
        let mut sink = WriteSink::file(handle);
        self.client.pull_blob(reference, layer, &mut sink).await.map_err(refused)?;
        drop(sink.into_inner().await);
        Ok(temporary)
    }
}

fn unwritten(path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let what = format!("cannot write {}", path.display());
    move |e| BuildError::user(what).caused_by(e)
}

/// Gives a pulled file its name, or unpacks it.
fn place(
    dest: &Path,
    name: &Path,
    descriptor: Descriptor,
    file: NamedTempFile,
) -> Result<PulledFile, BuildError> {
    let folder = packed::directories(dest, name.parent().unwrap_or(Path::new("")))?;
    let path = dest.join(name);
    let directory = packed::is_packed(&descriptor);
    if directory {
        packed::unpack(file.as_file(), &descriptor, name, dest)?;
    } else if path.is_dir() {
        return Err(BuildError::user(format!("{} is a directory, but should be a file", path.display())));
    } else {
        let path = folder.join(name.file_name().unwrap_or_default());
        file.persist(&path).map_err(|e| unwritten(&path)(e.error))?;
    }
    Ok(PulledFile { path, descriptor, directory })
}

/// The layer of a file or directory; of a directory, with the file that holds it.
async fn content(
    file: &ArtifactFile,
    title: &str,
) -> Result<(Descriptor, Option<NamedTempFile>), BuildError> {
    if !file.path.is_dir() {
        return Ok((described(file).await?, None));
    }
    let (path, title) = (file.path.clone(), title.to_owned());
    let media_type = file.media_type.clone().unwrap_or_else(|| media::OCI_LAYER_GZIP.to_owned());
    let packed = task::blocking("pack directory", move || packed::pack(&path, &title, &media_type)).await?;
    Ok((packed.layer, Some(packed.file)))
}

/// The name under which a file is pulled: the path as it was given, or its last part if it leads out of here.
fn title_of(path: &Path) -> Result<String, BuildError> {
    let text = path
        .to_str()
        .ok_or_else(|| BuildError::user(format!("{}: its name is not UTF-8", path.display())))?;
    let name = inside(text).or_else(|| path.file_name().map(PathBuf::from));
    let name = name.as_deref().and_then(Path::to_str);
    name.map(str::to_owned).ok_or_else(|| BuildError::user(format!("{text:?} has no name")))
}

/// A path that stays in its directory, without `.`; `None` if it does not.
fn inside(text: &str) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!clean.as_os_str().is_empty() && !text.contains('\0')).then_some(clean)
}

async fn described(file: &ArtifactFile) -> Result<Descriptor, BuildError> {
    let path = file.path.clone();
    let media_type = file.media_type.clone().unwrap_or_else(|| FILE_TYPE.to_owned());
    task::blocking("hash file", move || {
        let failed = |e: io::Error| BuildError::user(format!("cannot read {}", path.display())).caused_by(e);
        if path.is_dir() {
            return Err(BuildError::user(format!("{} is a directory", path.display())));
        }
        let mut reader = HashingReader::new(File::open(&path).map_err(failed)?);
        reader.drain().map_err(failed)?;
        let (_, digest, size) = reader.finish();
        Ok(Descriptor::new(media_type, digest, size))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_stay_inside() {
        for (text, want) in [("a", "a"), ("./a/b", "a/b"), ("a//b/./c", "a/b/c")] {
            assert_eq!(inside(text), Some(PathBuf::from(want)), "{text}");
        }
        for text in ["", ".", "..", "../a", "a/../../b", "/etc/passwd", "a\0b"] {
            assert_eq!(inside(text), None, "{text:?}");
        }
        assert_eq!(title_of(Path::new("/a/b.txt")).ok().as_deref(), Some("b.txt"));
        assert_eq!(title_of(Path::new("dir/../x")).ok().as_deref(), Some("x"));
    }
}
