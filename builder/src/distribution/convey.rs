//! Copying images where an OCI layout is on one side or on both.
//!
//! The order is that of copies between registries: blobs, then the manifests that name them, what has a tag last. So a
//! copy that stops anywhere leaves the old tag in place and whole. Manifests go over byte by byte: digests stay.

use std::collections::BTreeSet;

use cooper_oci::{Descriptor, Digest, Index, Manifest, Reference, media};
use cooper_registry_client::{Copied, CopyOptions, ErrorKind, FileSource, PushOptions, Pushed, WriteSink};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::layout::Layout;
use super::name::ImageName;
use super::{Document, Images, refused};
use crate::error::{BuildError, Kind};
use crate::image_source::{MAX_INDEX_DEPTH, parse};
use crate::task;

const BLOBS_AT_ONCE: usize = 6;

/// Where a copy goes.
enum Target {
    Registry(Reference),
    Layout(Layout),
}

struct Convey<'a> {
    images: &'a Images,
    from: &'a ImageName,
    to: Target,
    copied: Copied,
    seen: BTreeSet<Digest>,
}

impl Images {
    /// Copies an image to where `to` says; one of the two is an OCI layout.
    pub(super) async fn convey(
        &self,
        from: &ImageName,
        to: &ImageName,
        options: &CopyOptions,
    ) -> Result<Copied, BuildError> {
        let root = self.document(from, options.platform.as_ref()).await?;
        let digest = root.descriptor.digest.clone();
        let (tag, wanted) = match to {
            ImageName::Registry(r) => (r.tag.as_deref(), r.digest.as_ref()),
            ImageName::Layout { tag, digest, .. } => (tag.as_deref(), digest.as_ref()),
            ImageName::Store(_) => {
                return Err(BuildError::user(format!("{to}: the store is filled by `pull`")));
            }
        };
        if wanted.is_some_and(|wanted| *wanted != digest) {
            return Err(BuildError::user(format!("{from} is {digest}, so it cannot be copied to {to}")));
        }
        let tag = match (tag, wanted) {
            (None, Some(_)) => None,
            (tag, _) => Some(tag.unwrap_or("latest").to_owned()),
        };
        let target = match to {
            ImageName::Layout { path, .. } => Target::Layout(Layout::make(path)?),
            ImageName::Registry(reference) => Target::Registry(reference.clone()),
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
        Ok(convey.copied)
    }
}

impl Convey<'_> {
    async fn all(&mut self, root: Document, tag: Option<&str>, referrers: bool) -> Result<(), BuildError> {
        let mut waiting = vec![(root, tag)];
        while let Some((document, tag)) = waiting.pop() {
            let descriptor = document.descriptor.clone();
            let digests = self.tree(document, tag, MAX_INDEX_DEPTH).await?;
            if let Target::Layout(layout) = &self.to {
                layout.list(&descriptor, tag)?;
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
            ImageName::Layout { path, .. } => Layout::at(path).referrers(digest),
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
            let copies = blobs.iter().map(|blob| self.blob(blob));
            let done: Vec<Pushed> =
                futures_util::stream::iter(copies).buffered(BLOBS_AT_ONCE).try_collect().await?;
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

    async fn blob(&self, blob: &Descriptor) -> Result<Pushed, BuildError> {
        match (&self.to, self.from) {
            (Target::Registry(to), ImageName::Layout { path, .. }) => {
                let file = Layout::at(path).blob(&blob.digest);
                let source = FileSource(file.clone());
                let pushed = self.images.client.push_blob(to, blob, &source, &PushOptions::default()).await;
                pushed.map_err(|e| match e.kind() {
                    ErrorKind::Local => {
                        BuildError::user(format!("cannot read {}", file.display())).caused_by_sources_of(e)
                    }
                    _ if e.answer().is_some_and(|a| a.has_code("DIGEST_INVALID")) => {
                        BuildError::user(format!("{} is damaged: it has another content", file.display()))
                    }
                    _ => refused(e),
                })
            }
            (Target::Layout(layout), from) => {
                let (there, wanted) = (layout.clone(), blob.clone());
                if task::blocking("check blob", move || Ok(there.has(&wanted))).await? {
                    return Ok(Pushed::Existed);
                }
                match from {
                    ImageName::Registry(reference) => {
                        let file = layout.begin(&blob.digest)?;
                        let handle = file.as_file().try_clone().map_err(|e| {
                            BuildError::user(format!("cannot write to {}", file.path().display()))
                                .caused_by(e)
                        })?;
                        let mut sink = WriteSink::file(handle);
                        self.images.client.pull_blob(reference, blob, &mut sink).await.map_err(refused)?;
                        drop(sink.into_inner().await);
                        let (layout, digest) = (layout.clone(), blob.digest.clone());
                        task::blocking("keep blob", move || layout.keep(file, &digest)).await?;
                    }
                    ImageName::Layout { path, .. } => {
                        let file = Layout::at(path).blob(&blob.digest);
                        let (layout, blob) = (layout.clone(), blob.clone());
                        task::blocking("copy blob", move || layout.take(&file, &blob)).await?;
                    }
                    ImageName::Store(_) => return Err(no_store()),
                }
                Ok(Pushed::Uploaded)
            }
            (Target::Registry(_), _) => Err(no_store()),
        }
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
        }
    }
}

fn no_store() -> BuildError {
    BuildError::user("images of the store are not copied from here")
        .hint("`cooper push` sends them to a registry")
}
