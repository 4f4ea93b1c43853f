//! Copying images from one repository to another, without a store between them.
//!
//! Owns the order: blobs, then the manifests that name them, an index after its manifests, the tag last. So
//! a copy that stops anywhere leaves the old tag in place and whole. What the other side has is not sent,
//! what its registry holds elsewhere is mounted. Manifests go over byte by byte: digests stay.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use cooper_oci::{Descriptor, Digest, Platform, Reference, media};
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::call::target_of;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::manifest::{Document, ResolvedManifest};
use crate::push::{PushOptions, Pushed};
use crate::relay::RegistrySource;

/// How many indexes may lie within one another.
const MAX_DEPTH: usize = 4;
/// Manifests that are fetched or stored at once.
const MANIFESTS_AT_ONCE: usize = 4;

/// What to copy.
#[derive(Debug, Clone, Default)]
pub struct CopyOptions {
    /// The one image of an index that fits this platform; `None` copies everything.
    pub platform: Option<Platform>,
    /// Also what refers to the copied manifests, and what refers to that (signatures, attestations).
    pub referrers: bool,
    /// Repositories of the target's registry that may hold the blobs already, beside the source's.
    pub mount_from: Vec<String>,
}

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// What the target now names.
    pub descriptor: Descriptor,
    /// Manifests and indexes that were stored.
    pub manifests: usize,
    /// Blobs that were sent.
    pub blobs_sent: usize,
    /// Blobs that the target's registry took from another of its repositories.
    pub blobs_mounted: usize,
    /// Blobs that were there.
    pub blobs_existed: usize,
    /// Size of the blobs that were sent, in bytes.
    pub sent_bytes: u64,
}

#[derive(Default)]
struct Counts {
    /// Manifests that were looked at.
    read: AtomicUsize,
    manifests: AtomicUsize,
    sent: AtomicUsize,
    mounted: AtomicUsize,
    existed: AtomicUsize,
    sent_bytes: AtomicU64,
}

struct Copy<'a> {
    client: &'a Client,
    from: &'a Reference,
    to: &'a Reference,
    push: PushOptions,
    counts: Counts,
}

/// A manifest with all that lies below it.
struct Tree {
    manifest: ResolvedManifest,
    children: Vec<Tree>,
    blobs: Vec<Descriptor>,
}

impl Client {
    /// Copies what `from` names to `to`: under its tag, or by digest alone if `to` has only a digest (which
    /// must then be the one that is copied).
    ///
    /// ```no_run
    /// use cooper_registry_client::{Client, CopyOptions, Credentials};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::builder().credentials(Credentials::from_environment()).build();
    /// let (from, to) = ("quay.io/team/app:1".parse()?, "ghcr.io/team/app:1".parse()?);
    /// let options = CopyOptions { referrers: true, ..CopyOptions::default() };
    /// let copied = client.copy(&from, &to, &options).await?;
    /// assert_eq!(copied.descriptor.digest, client.resolve(&to).await?.descriptor.digest);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn copy(&self, from: &Reference, to: &Reference, options: &CopyOptions) -> Result<Copied> {
        let mut push = PushOptions::default();
        if from.registry == to.registry {
            push.mount_from.push(from.repository.clone());
        }
        push.mount_from.extend(options.mount_from.iter().cloned());
        let copy = Copy { client: self, from, to, push, counts: Counts::default() };
        let root = Box::pin(copy.chosen(options.platform.as_ref())).await?;
        if let (None, Some(digest)) = (&to.tag, &to.digest)
            && *digest != root.descriptor.digest
        {
            let target = target_of(to, digest).boxed();
            let (expected, actual) = (digest.clone(), root.descriptor.digest.clone());
            return Err(Error::DigestMismatch { target, expected, actual });
        }
        let descriptor = root.descriptor.clone();
        let tag = match (&to.tag, &to.digest) {
            (None, Some(_)) => None,
            _ => Some(to.tag_or_latest().unwrap_or("latest").to_owned()),
        };
        Box::pin(copy.tree(root, tag, options.referrers)).await?;
        let counts = copy.counts;
        Ok(Copied {
            descriptor,
            manifests: counts.manifests.into_inner(),
            blobs_sent: counts.sent.into_inner(),
            blobs_mounted: counts.mounted.into_inner(),
            blobs_existed: counts.existed.into_inner(),
            sent_bytes: counts.sent_bytes.into_inner(),
        })
    }
}

impl Copy<'_> {
    /// What to copy: what the source names, or the image of it for a platform.
    async fn chosen(&self, platform: Option<&Platform>) -> Result<ResolvedManifest> {
        let mut manifest = self.client.resolve(self.from).await?;
        let Some(platform) = platform else { return Ok(manifest) };
        for _ in 0..MAX_DEPTH {
            let Document::Index(index) = manifest.parse()? else { return Ok(manifest) };
            let Some(chosen) = index.select(platform) else {
                let target = target_of(self.from, self.from.identifier());
                return Err(Error::protocol(&target, format!("no image for {platform} in the index")));
            };
            manifest = self.client.fetch_manifest(self.from, &chosen.digest).await?;
        }
        Err(self.too_deep(&manifest.descriptor.digest))
    }

    fn too_deep(&self, digest: &Digest) -> Error {
        Error::protocol(
            &target_of(self.from, digest),
            format!("more than {MAX_DEPTH} indexes in one another"),
        )
    }

    async fn tree(&self, root: ResolvedManifest, tag: Option<String>, referrers: bool) -> Result<()> {
        let mut waiting = vec![(root, tag)];
        let mut seen = BTreeSet::new();
        while let Some((manifest, tag)) = waiting.pop() {
            let root = manifest.descriptor.digest.clone();
            let mut digests = vec![root.clone()];
            let there = self.has(&root).await?;
            if there && !referrers {
                self.store(&manifest, tag.as_deref()).await?;
                continue;
            }
            let tree = self.read(manifest, MAX_DEPTH).await?;
            tree.digests(&mut digests);
            if !there {
                self.blobs(&tree, &self.push).await?;
                self.below(&tree).await?;
            }
            if let Err(error) = self.store(&tree.manifest, tag.as_deref()).await {
                let lost = |code: &str| error.answer().is_some_and(|a| a.has_code(code));
                if !lost("MANIFEST_BLOB_UNKNOWN") && !lost("BLOB_UNKNOWN") {
                    return Err(error);
                }
                // What was there a moment ago was cleaned up meanwhile, or what was mounted did not come: once more, all of it.
                self.blobs(&tree, &PushOptions::default()).await?;
                self.below(&tree).await?;
                self.store(&tree.manifest, tag.as_deref()).await?;
            }
            if !referrers {
                continue;
            }
            for digest in digests {
                if !seen.insert(digest.clone()) {
                    continue;
                }
                for referrer in self.client.referrers(self.from, &digest, None).await? {
                    if !seen.contains(&referrer.digest) {
                        let found = self.client.fetch_manifest(self.from, &referrer.digest).await?;
                        waiting.push((found, None));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the target's repository has a manifest, and so all that it names.
    async fn has(&self, digest: &Digest) -> Result<bool> {
        let there = Reference { tag: None, digest: Some(digest.clone()), ..self.to.clone() };
        // Who may not look may still be allowed to push.
        Ok(matches!(self.client.head_manifest(&there).await, Ok(Some(_))))
    }

    /// Fetches the manifests below one.
    async fn read(&self, manifest: ResolvedManifest, depth: usize) -> Result<Tree> {
        let most = self.client.inner.limits.copied_manifests;
        if self.counts.read.fetch_add(1, Ordering::Relaxed) >= most {
            let target = target_of(self.from, self.from.identifier());
            return Err(Error::protocol(&target, format!("it holds more than {most} manifests")));
        }
        match manifest.parse()? {
            Document::Manifest(image) => {
                let mut blobs = image.layers;
                blobs.push(image.config);
                blobs.retain(|d| !media::is_foreign(&d.media_type));
                Ok(Tree { manifest, children: Vec::new(), blobs })
            }
            Document::Index(index) => {
                if depth == 0 {
                    return Err(self.too_deep(&manifest.descriptor.digest));
                }
                let mut seen = BTreeSet::new();
                let entries = index.manifests.into_iter().filter(|entry| seen.insert(entry.digest.clone()));
                let reads = entries.map(|entry| async move {
                    let child = self.client.fetch_manifest(self.from, &entry.digest).await?;
                    Box::pin(self.read(child, depth - 1)).await
                });
                let children = futures_util::stream::iter(reads).buffered(MANIFESTS_AT_ONCE);
                Ok(Tree { manifest, children: children.try_collect().await?, blobs: Vec::new() })
            }
        }
    }

    async fn blobs(&self, tree: &Tree, options: &PushOptions) -> Result<()> {
        let mut all = Vec::new();
        tree.blobs(&mut all);
        let mut seen = BTreeSet::new();
        all.retain(|d| seen.insert(d.digest.clone()));
        // As many as may be transferred, and a few that only ask.
        let most = self.client.inner.limits.transfers.max(1) * 2;
        let pushes = all.into_iter().map(|blob| self.blob(blob, options));
        futures_util::stream::iter(pushes).buffer_unordered(most).try_collect().await
    }

    async fn blob(&self, blob: Descriptor, options: &PushOptions) -> Result<()> {
        let source = RegistrySource::new(self.client.clone(), self.from.clone(), blob.clone());
        let counts = &self.counts;
        match self.client.push_blob(self.to, &blob, &source, options).await.map_err(of_the_source)? {
            Pushed::Existed => counts.existed.fetch_add(1, Ordering::Relaxed),
            Pushed::Mounted { .. } => counts.mounted.fetch_add(1, Ordering::Relaxed),
            Pushed::Uploaded => {
                counts.sent_bytes.fetch_add(blob.size, Ordering::Relaxed);
                counts.sent.fetch_add(1, Ordering::Relaxed)
            }
        };
        Ok(())
    }

    /// Stores what lies below a manifest, the lowest first.
    async fn below(&self, tree: &Tree) -> Result<()> {
        let stores = tree.children.iter().map(|child| async move {
            Box::pin(self.below(child)).await?;
            self.store(&child.manifest, None).await
        });
        futures_util::stream::iter(stores).buffer_unordered(MANIFESTS_AT_ONCE).try_collect().await
    }

    async fn store(&self, manifest: &ResolvedManifest, tag: Option<&str>) -> Result<()> {
        let digest = &manifest.descriptor.digest;
        let to = Reference { tag: tag.map(str::to_owned), digest: Some(digest.clone()), ..self.to.clone() };
        let media_type = &manifest.descriptor.media_type;
        self.client.push_manifest(&to, media_type, manifest.bytes.clone()).await?;
        self.counts.manifests.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The registry's error, when reading from it is what failed.
fn of_the_source(error: Error) -> Error {
    match error {
        Error::Local { target, what, source } => match source.downcast::<Error>() {
            Ok(inner) => inner,
            Err(source) => Error::Local { target, what, source },
        },
        other => other,
    }
}

impl Tree {
    fn digests(&self, all: &mut Vec<Digest>) {
        for child in &self.children {
            all.push(child.manifest.descriptor.digest.clone());
            child.digests(all);
        }
    }

    fn blobs(&self, all: &mut Vec<Descriptor>) {
        all.extend(self.blobs.iter().cloned());
        self.children.iter().for_each(|child| child.blobs(all));
    }
}
