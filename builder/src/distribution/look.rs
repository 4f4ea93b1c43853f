//! Reading manifests and configs from wherever the image is.

use bytes::Bytes;
use cooper_oci::reference::DEFAULT_REGISTRY;
use cooper_oci::{Descriptor, ImageConfig, Index, Manifest, Platform, Reference, media};

use super::name::ImageName;
use super::{Images, refused};
use crate::error::{BuildError, Kind};
use crate::image_source::{MAX_CONFIG_BYTES, MAX_INDEX_DEPTH, MAX_MANIFEST_BYTES, no_platform, parse};
use crate::layout::Pick;

/// A manifest or index, byte by byte.
#[derive(Debug, Clone)]
pub struct Document {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// The bytes.
    pub bytes: Bytes,
}

/// An image's manifest and config.
#[derive(Debug, Clone)]
pub struct Image {
    /// Descriptor of the manifest.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The config.
    pub config: ImageConfig,
    /// The config's bytes.
    pub config_bytes: Bytes,
}

impl Image {
    /// The platform that the config names.
    pub fn platform(&self) -> Platform {
        let config = &self.config;
        Platform::new(&config.os, &config.architecture, config.variant.as_deref())
    }
}

impl Images {
    /// What a name stands for; for a registry the claim of its answer to HEAD.
    pub async fn descriptor(&self, name: &ImageName) -> Result<Descriptor, BuildError> {
        match name {
            ImageName::Registry(reference) => match self.client.head_manifest(reference).await {
                Ok(Some(descriptor)) => Ok(descriptor),
                // The answer to GET says what is missing.
                Ok(None) => Ok(self.resolve(reference).await?.descriptor),
                Err(e) => Err(refused(e)),
            },
            ImageName::Store(reference) => Ok(self.session()?.record(&reference.to_string())?.1),
            ImageName::Layout { tag, digest, .. } => {
                let pick = digest.clone().map_or_else(|| Pick::Tag(tag.clone()), Pick::Digest);
                self.shelf(name).await?.entry(&pick)
            }
            ImageName::Archive(archive) => self.shelf(name).await?.entry(&archive.pick),
        }
    }

    /// The manifest or index that a name stands for; with a platform, the manifest of that platform's image.
    pub async fn document(
        &self,
        name: &ImageName,
        platform: Option<&Platform>,
    ) -> Result<Document, BuildError> {
        let mut document = match name {
            ImageName::Registry(reference) => self.resolve(reference).await?,
            _ => self.manifest_at(name, self.descriptor(name).await?).await?,
        };
        let Some(platform) = platform else { return Ok(document) };
        for _ in 0..=MAX_INDEX_DEPTH {
            if !media::is_index(&document.descriptor.media_type) {
                return Ok(document);
            }
            let index: Index = parse(&document.bytes, &document.descriptor)?;
            let chosen = match (index.select(platform), index.manifests.as_slice()) {
                (Some(found), _) => found.clone(),
                // Without platforms there is no choice.
                (None, [only]) if only.platform.is_none() => only.clone(),
                _ => return Err(no_platform(&name.to_string(), &index, platform)),
            };
            document = self.manifest_at(name, chosen).await?;
        }
        Err(BuildError::new(Kind::Remote, format!("{name}: indexes are nested too deeply")))
    }

    /// The image for a platform, by default this machine's.
    pub async fn image(&self, name: &ImageName, platform: Option<&Platform>) -> Result<Image, BuildError> {
        let host = Platform::host();
        let document = self.document(name, Some(platform.unwrap_or(&host))).await?;
        let manifest: Manifest = parse(&document.bytes, &document.descriptor)?;
        let config_bytes = self.small(name, &manifest.config, MAX_CONFIG_BYTES).await?;
        if !media::is_config(&manifest.config.media_type) {
            return Err(BuildError::user(format!(
                "{name} is no image: its config is of type {}",
                manifest.config.media_type
            ))
            .hint("`cooper manifest` shows what it is"));
        }
        let config: ImageConfig = parse(&config_bytes, &manifest.config)?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(BuildError::new(
                Kind::Remote,
                format!(
                    "{name}: the manifest has {} layers, but the config names {} diff IDs",
                    manifest.layers.len(),
                    config.rootfs.diff_ids.len()
                ),
            ));
        }
        Ok(Image { descriptor: document.descriptor, manifest, config, config_bytes })
    }

    /// The bytes of a config, whatever its type.
    pub async fn config(
        &self,
        name: &ImageName,
        platform: Option<&Platform>,
    ) -> Result<Document, BuildError> {
        let host = Platform::host();
        let document = self.document(name, Some(platform.unwrap_or(&host))).await?;
        let manifest: Manifest = parse(&document.bytes, &document.descriptor)?;
        let bytes = self.small(name, &manifest.config, MAX_CONFIG_BYTES).await?;
        Ok(Document { descriptor: manifest.config, bytes })
    }

    pub(super) async fn resolve(&self, reference: &Reference) -> Result<Document, BuildError> {
        match self.client.resolve(reference).await {
            Ok(found) => Ok(Document { descriptor: found.descriptor, bytes: found.bytes }),
            Err(e) => Err(with_store_hint(reference, refused(e))),
        }
    }

    pub(super) async fn manifest_at(
        &self,
        name: &ImageName,
        descriptor: Descriptor,
    ) -> Result<Document, BuildError> {
        if let ImageName::Registry(reference) = name {
            let found = self.client.fetch_manifest(reference, &descriptor.digest).await;
            let found = found.map_err(refused)?;
            return Ok(Document { bytes: found.bytes, descriptor: found.descriptor });
        }
        let bytes = self.small(name, &descriptor, MAX_MANIFEST_BYTES).await?;
        Ok(Document { descriptor, bytes })
    }

    /// A verified small blob.
    pub(super) async fn small(
        &self,
        name: &ImageName,
        descriptor: &Descriptor,
        max_bytes: u64,
    ) -> Result<Bytes, BuildError> {
        if descriptor.size > max_bytes {
            let (digest, size) = (&descriptor.digest, descriptor.size);
            let what = format!("{name}: {digest} has {size} bytes, more than the {max_bytes} allowed");
            return Err(BuildError::new(Kind::Remote, what));
        }
        match name {
            ImageName::Registry(reference) => {
                self.client.pull_bytes(reference, descriptor).await.map_err(refused)
            }
            ImageName::Store(_) => {
                let store = self.session()?.store();
                if store.has_blob(&descriptor.digest)?.is_none() {
                    return Err(BuildError::user(format!(
                        "{name}: {} is not in the store",
                        descriptor.digest
                    ))
                    .hint("it was pulled for one platform only: `cooper pull --platform`"));
                }
                Ok(store.read_blob_verified(&descriptor.digest, max_bytes)?.into())
            }
            ImageName::Layout { .. } | ImageName::Archive(_) => {
                Ok(self.shelf(name).await?.small(&descriptor.digest, max_bytes)?.into())
            }
        }
    }
}

/// Names without a place are looked up in registries: who means the store must say so.
fn with_store_hint(reference: &Reference, error: BuildError) -> BuildError {
    if reference.registry == DEFAULT_REGISTRY && error.advice().is_none() {
        let name = reference.familiar();
        return error.hint(format!("if an image of Cooper's store is meant: store://{name}"));
    }
    error
}
