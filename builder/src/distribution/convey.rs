//! Copying images where an OCI layout or an archive is on one side or on both.
//!
//! The order is that of copies between registries: blobs, then the manifests that name them, what has a tag last. So a
//! copy that stops anywhere leaves the old tag in place and whole. Manifests go over byte by byte: digests stay.

use std::collections::BTreeSet;

use cooper_oci::{Descriptor, Digest, HashingReader, Index, Manifest, Platform, Reference, media};
use cooper_registry_client::{
    Copied, CopyOptions, ErrorKind, FileSource, PushOptions, Pushed, ReadSource, WriteSink,
};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::layout::Layout;
use super::name::{ArchiveForm, ArchiveName, ImageName};
use super::packing::{Packing, Slot};
use super::{Document, Images, refused};
use crate::error::{BuildError, Kind};
use crate::image_source::{MAX_INDEX_DEPTH, parse};
use crate::layout::Pick;
use crate::task;

const BLOBS_AT_ONCE: usize = 6;

/// Where a copy goes.
enum Target {
    Registry(Reference),
    Layout(Layout),
    Archive(Box<Packing>),
}

impl Target {
    fn at_once(&self) -> usize {
        match self {
            Target::Archive(packing) if packing.is_stream() => 1,
            _ => BLOBS_AT_ONCE,
        }
    }
}

/// Whether this is an archive for Docker, which has one image and no index.
fn is_docker(name: &ImageName) -> bool {
    matches!(name, ImageName::Archive(ArchiveName { form: ArchiveForm::Docker, .. }))
}

struct Convey<'a> {
    images: &'a Images,
    from: &'a ImageName,
    to: Target,
    copied: Copied,
    seen: BTreeSet<Digest>,
}

impl Images {
    /// Copies an image to where `to` says; one of the two is an OCI layout or an archive.
    pub(super) async fn convey(
        &self,
        from: &ImageName,
        to: &ImageName,
        options: &CopyOptions,
    ) -> Result<Copied, BuildError> {
        if is_docker(from) && !is_docker(to) {
            self.compress(from).await?;
        }
        let platform = options.platform.clone().or_else(|| is_docker(to).then(Platform::host));
        let root = self.document(from, platform.as_ref()).await?;
        let digest = root.descriptor.digest.clone();
        let (tag, wanted) = match to {
            ImageName::Registry(r) => (r.tag.as_deref(), r.digest.as_ref()),
            ImageName::Layout { tag, digest, .. } => (tag.as_deref(), digest.as_ref()),
            ImageName::Archive(ArchiveName { pick, .. }) => match pick {
                Pick::Tag(tag) => (tag.as_deref(), None),
                Pick::Digest(digest) => (None, Some(digest)),
                Pick::Number(_) => {
                    return Err(BuildError::user(format!("{to}: @N names an image to read, none to write")));
                }
            },
            ImageName::Store(_) => {
                return Err(BuildError::user(format!("{to}: the store is filled by `pull`")));
            }
        };
        if wanted.is_some_and(|wanted| *wanted != digest) {
            return Err(BuildError::user(format!("{from} is {digest}, so it cannot be copied to {to}")));
        }
        let tag = match (tag, wanted, to) {
            (None, Some(_), _) => None,
            // As others write archives. With referrers beside it, the image would not be told from them.
            (None, None, ImageName::Archive(_)) if !options.referrers => None,
            (tag, _, _) => Some(tag.unwrap_or("latest").to_owned()),
        };
        let target = match to {
            ImageName::Layout { path, .. } => Target::Layout(Layout::make(path)?),
            ImageName::Registry(reference) => Target::Registry(reference.clone()),
            ImageName::Archive(archive) => {
                let packing = Packing::begin(archive)?;
                if archive.form == ArchiveForm::Docker {
                    packing.holds(image_for_docker(from, &root)?);
                }
                Target::Archive(Box::new(packing))
            }
            ImageName::Store(_) => return Err(BuildError::new(Kind::Internal, "the store is no target")),
        };
        let copied = Copied {
            descriptor: root.descriptor.clone(),
            manifests: 0,
            blobs_sent: 0,
            blobs_mounted: 0,
            blobs_existed: 0,
            sent_bytes: 0,
        };
        let mut convey = Convey { images: self, from, to: target, copied, seen: BTreeSet::new() };
        Box::pin(convey.all(root, tag.as_deref(), options.referrers)).await?;
        if let Target::Archive(packing) = convey.to {
            task::blocking("finish archive", move || packing.finish()).await?;
        }
        Ok(convey.copied)
    }
}

impl Convey<'_> {
    async fn all(&mut self, root: Document, tag: Option<&str>, referrers: bool) -> Result<(), BuildError> {
        let mut waiting = vec![(root, tag)];
        while let Some((document, tag)) = waiting.pop() {
            let descriptor = document.descriptor.clone();
            let digests = self.tree(document, tag, MAX_INDEX_DEPTH).await?;
            match &self.to {
                Target::Registry(_) => {}
                Target::Layout(layout) => layout.list(&descriptor, tag)?,
                Target::Archive(packing) => packing.list(&descriptor, tag),
            }
            if !referrers {
                continue;
            }
            for digest in digests {
                for referrer in self.referrers(&digest).await? {
                    if !self.seen.contains(&referrer.digest) {
                        let mut found = self.images.manifest_at(self.from, referrer.clone()).await?;
                        found.descriptor.artifact_type = referrer.artifact_type;
                        found.descriptor.annotations = referrer.annotations;
                        waiting.push((found, None));
                    }
                }
            }
        }
        Ok(())
    }

    async fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, BuildError> {
        match self.from {
            ImageName::Registry(reference) => {
                self.images.client.referrers(reference, digest, None).await.map_err(refused)
            }
            ImageName::Layout { .. } | ImageName::Archive(_) => {
                self.images.shelf(self.from).await?.referrers(digest)
            }
            ImageName::Store(_) => Ok(Vec::new()),
        }
    }

    /// Copies a manifest and all below it; the digests of them.
    async fn tree(
        &mut self,
        document: Document,
        tag: Option<&str>,
        depth: usize,
    ) -> Result<Vec<Digest>, BuildError> {
        let mut digests = vec![document.descriptor.digest.clone()];
        if media::is_index(&document.descriptor.media_type) {
            if depth == 0 {
                let from = self.from;
                return Err(BuildError::new(Kind::Remote, format!("{from}: indexes are nested too deeply")));
            }
            let index: Index = parse(&document.bytes, &document.descriptor)?;
            for entry in index.manifests {
                if self.seen.contains(&entry.digest) {
                    continue;
                }
                let child = self.images.manifest_at(self.from, entry).await?;
                digests.extend(Box::pin(self.tree(child, None, depth - 1)).await?);
            }
        } else {
            let manifest: Manifest = parse(&document.bytes, &document.descriptor)?;
            let mut blobs = manifest.layers;
            blobs.push(manifest.config);
            // What may not be distributed lies elsewhere.
            blobs.retain(|d| !media::is_foreign(&d.media_type) && self.seen.insert(d.digest.clone()));
            // Places in an archive are given here, in the order of the manifest.
            let this = &*self;
            let copies = blobs.iter().map(|blob| {
                let place = match &this.to {
                    Target::Archive(packing) => packing.place(&blob.digest, blob.size),
                    _ => Ok(None),
                };
                async move { this.blob(blob, place?).await }
            });
            let at_once = this.to.at_once();
            let done: Vec<Pushed> =
                futures_util::stream::iter(copies).buffered(at_once).try_collect().await?;
            for (blob, done) in blobs.iter().zip(done) {
                match done {
                    Pushed::Existed => self.copied.blobs_existed += 1,
                    Pushed::Mounted { .. } => self.copied.blobs_mounted += 1,
                    Pushed::Uploaded => {
                        self.copied.blobs_sent += 1;
                        self.copied.sent_bytes += blob.size;
                    }
                }
            }
        }
        self.store(&document, tag).await?;
        self.seen.insert(document.descriptor.digest);
        self.copied.manifests += 1;
        Ok(digests)
    }

    async fn blob(&self, blob: &Descriptor, slot: Option<Slot>) -> Result<Pushed, BuildError> {
        match &self.to {
            Target::Registry(to) => self.push(to, blob).await,
            Target::Layout(layout) => self.lay(layout, blob).await,
            Target::Archive(packing) => match slot {
                Some(slot) => self.pack(packing, blob, slot).await,
                None => Ok(Pushed::Existed),
            },
        }
    }

    async fn push(&self, to: &Reference, blob: &Descriptor) -> Result<Pushed, BuildError> {
        let shelf = self.images.shelf(self.from).await?;
        let (window, place) = (shelf.sized_blob(blob)?, shelf.place(&blob.digest));
        let (client, options) = (&self.images.client, PushOptions::default());
        let pushed = if let Some(path) = shelf.file(&blob.digest) {
            client.push_blob(to, blob, &FileSource(path), &options).await
        } else {
            let source = ReadSource(move |offset| Ok(window.reader(offset)));
            client.push_blob(to, blob, &source, &options).await
        };
        pushed.map_err(|e| match e.kind() {
            ErrorKind::Local => BuildError::user(format!("cannot read {place}")).caused_by_sources_of(e),
            _ if e.answer().is_some_and(|a| a.has_code("DIGEST_INVALID")) => {
                BuildError::user(format!("{place} is damaged: it has another content"))
            }
            _ => refused(e),
        })
    }

    async fn lay(&self, layout: &Layout, blob: &Descriptor) -> Result<Pushed, BuildError> {
        let (there, wanted) = (layout.clone(), blob.clone());
        if task::blocking("check blob", move || Ok(there.has(&wanted))).await? {
            return Ok(Pushed::Existed);
        }
        if let ImageName::Registry(reference) = self.from {
            let file = layout.begin(&blob.digest)?;
            let handle = file.as_file().try_clone().map_err(|e| {
                BuildError::user(format!("cannot write to {}", file.path().display())).caused_by(e)
            })?;
            let mut sink = WriteSink::file(handle);
            self.images.client.pull_blob(reference, blob, &mut sink).await.map_err(refused)?;
            drop(sink.into_inner().await);
            let (layout, digest) = (layout.clone(), blob.digest.clone());
            task::blocking("keep blob", move || layout.keep(file, &digest)).await?;
        } else {
            let shelf = self.images.shelf(self.from).await?;
            let (window, place) = (shelf.sized_blob(blob)?, shelf.place(&blob.digest));
            let (layout, blob) = (layout.clone(), blob.clone());
            task::blocking("copy blob", move || layout.take(&window, &place, &blob)).await?;
        }
        Ok(Pushed::Uploaded)
    }

    async fn pack(&self, packing: &Packing, blob: &Descriptor, slot: Slot) -> Result<Pushed, BuildError> {
        let failed = |e| packing.failed(e);
        let slot = if let ImageName::Registry(reference) = self.from {
            let again = slot.can_restart();
            let mut sink =
                if again { WriteSink::restartable(slot, Slot::restart) } else { WriteSink::new(slot) };
            self.images.client.pull_blob(reference, blob, &mut sink).await.map_err(refused)?;
            sink.into_inner().await.ok_or_else(|| BuildError::new(Kind::Internal, "the writer was lost"))?
        } else {
            let shelf = self.images.shelf(self.from).await?;
            let (window, place) = (shelf.sized_blob(blob)?, shelf.place(&blob.digest));
            let digest = blob.digest.clone();
            let copied = task::blocking("copy blob", move || {
                let mut slot = slot;
                let mut from = HashingReader::with_algorithm(window.reader(0), digest.algorithm());
                let copied = std::io::copy(&mut from, &mut slot).map(|_| slot);
                Ok(if from.finish().1 == digest { Some(copied) } else { None })
            });
            let Some(slot) = copied.await? else {
                return Err(BuildError::user(format!("{place} is damaged: it has another content")));
            };
            slot.map_err(failed)?
        };
        let ended = task::blocking("end blob", move || Ok(slot.end())).await?;
        ended.map_err(failed)?;
        Ok(Pushed::Uploaded)
    }

    async fn store(&self, document: &Document, tag: Option<&str>) -> Result<(), BuildError> {
        let digest = &document.descriptor.digest;
        match &self.to {
            Target::Registry(to) => {
                let to =
                    Reference { tag: tag.map(str::to_owned), digest: Some(digest.clone()), ..to.clone() };
                let media_type = &document.descriptor.media_type;
                let pushed = self.images.client.push_manifest(&to, media_type, document.bytes.clone()).await;
                pushed.map(drop).map_err(refused)
            }
            Target::Layout(layout) => layout.put(digest, &document.bytes),
            Target::Archive(packing) => packing.put(digest, &document.bytes),
        }
    }
}

/// The manifest of an image that Docker will load.
fn image_for_docker(from: &ImageName, document: &Document) -> Result<Manifest, BuildError> {
    let manifest: Manifest = parse(&document.bytes, &document.descriptor)?;
    if !media::is_config(&manifest.config.media_type) {
        return Err(BuildError::user(format!("{from} is no image that Docker can load"))
            .hint("oci-archive:FILE takes what is no image, too"));
    }
    if manifest.layers.iter().any(|layer| media::is_foreign(&layer.media_type)) {
        return Err(BuildError::user(format!("{from} has layers that may not be handed on")));
    }
    Ok(manifest)
}
