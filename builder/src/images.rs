//! Images in the local store: names, and what they stand for.
//!
//! A name points to a manifest or index in the content store. Layers of images built here are uncompressed descriptors
//! (digest = diff ID) whose bytes come from snapshots; base layers keep the compressed descriptor that they were
//! pulled with, annotated with the repository that has it, so that a push can mount or fetch them.

use std::sync::Arc;

use cooper_frontend::graph::ImageSource;
use cooper_oci::{Descriptor, Digest, Index, Manifest, Platform, Reference, media};
use serde_json::{Value, json};

use crate::assemble::{self, AssembledImage, Bundle, LayerFormat};
use crate::error::{BuildError, Kind};
use crate::event::EventSender;
use crate::forms::Purpose;
use crate::image_source::{self, Origin, Origins, fetch_layer};
use crate::rootfs::{Layer, Rootfs};
use crate::session::{Inner, Session};
use crate::{task, transfer};

/// Says which repository of which registry holds a base layer; never leaves the store.
pub(crate) const SOURCE_ANNOTATION: &str = "cooper.distribution.source";

/// One line of `cooper images`.
#[derive(Debug, Clone)]
pub struct ImageSummary {
    /// Full name.
    pub name: String,
    /// Digest of its manifest or index.
    pub digest: Digest,
    /// Digest of its config, if it is a single image.
    pub image_id: Option<Digest>,
    /// When it got this name, Unix seconds.
    pub tagged_seconds: i64,
    /// Sum of its layers as the manifest lists them, bytes.
    pub size_bytes: u64,
}

/// Puts a bundle into the store under the names that `names` gives for the digest that it has there.
pub async fn keep(
    session: &Arc<Inner>,
    bundle: &Bundle,
    names: &dyn Fn(&Digest) -> Vec<Reference>,
) -> Result<(), BuildError> {
    let mut blobs = Vec::new();
    let mut descriptors = Vec::new();
    for image in &bundle.images {
        let manifest = stored_manifest(session, image).await?;
        let bytes = assemble::json(&manifest)?;
        let media_type = manifest.media_type.clone().unwrap_or_else(|| media::OCI_MANIFEST.into());
        let mut descriptor = Descriptor::of(media_type, &bytes);
        descriptor.platform.clone_from(&image.descriptor.platform);
        descriptors.push(descriptor);
        blobs.push(image.config_bytes.clone());
        blobs.push(bytes);
    }
    let target = if let (false, [only]) = (bundle.index_bytes.is_some(), descriptors.as_slice()) {
        only.clone()
    } else {
        let bytes = assemble::json(&Index::new(descriptors))?;
        let descriptor = Descriptor::of(media::OCI_INDEX, &bytes);
        blobs.push(bytes);
        descriptor
    };
    let (session, names) = (session.clone(), names(&target.digest));
    task::blocking("store image", move || {
        let store = &session.store;
        let mut stale = Vec::new();
        for name in names.iter().map(ToString::to_string) {
            if store.image(&name)?.is_none_or(|record| record.target != target) {
                stale.push(name);
            }
        }
        let mut written = false;
        for bytes in &blobs {
            if store.has_blob(&Digest::sha256_of(bytes))?.is_none() {
                store.put_blob(bytes)?;
                written = true;
            }
        }
        // An unchanged build writes nothing, so it has nothing to wait for.
        if written {
            store.sync()?;
        }
        for name in stale {
            store.tag(&name, target.clone())?;
        }
        Ok(())
    })
    .await
}

/// The manifest as the store keeps it: with the places of base layers.
async fn stored_manifest(session: &Arc<Inner>, image: &AssembledImage) -> Result<Manifest, BuildError> {
    let mut manifest = image.manifest.clone();
    for ((diff_id, _), descriptor) in image.layers.iter().zip(&mut manifest.layers) {
        let Some(origin) = image.origins.get(diff_id).filter(|o| o.descriptor.digest == descriptor.digest)
        else {
            continue;
        };
        match &origin.source {
            ImageSource::Registry(reference) => {
                descriptor.annotations.insert(SOURCE_ANNOTATION.into(), reference.name());
            }
            // A layout may be gone tomorrow.
            ImageSource::OciLayout { .. } => fetch_layer(session, &origin).await?,
        }
    }
    Ok(manifest)
}

fn parse(name: &str) -> Result<Reference, BuildError> {
    let reference: Reference =
        name.parse().map_err(|e| BuildError::user(format!("invalid image name \"{name}\": {e}")))?;
    if reference.tag.is_none() && reference.digest.is_none() {
        return Ok(reference.with_tag("latest"));
    }
    Ok(reference)
}

impl Session {
    pub(crate) fn record(&self, name: &str) -> Result<(Reference, Descriptor), BuildError> {
        let reference = parse(name)?;
        let record = self.0.store.image(&reference.to_string())?.ok_or_else(|| {
            BuildError::user(format!("no image named {} in the store", reference.familiar()))
                .hint("`cooper images` lists what is there")
        })?;
        Ok((reference, record.target))
    }

    /// All named images, sorted by name.
    pub fn images(&self) -> Result<Vec<ImageSummary>, BuildError> {
        let mut out = Vec::new();
        for record in self.0.store.images()? {
            let mut summary = ImageSummary {
                name: record.name.clone(),
                digest: record.target.digest.clone(),
                image_id: None,
                tagged_seconds: record.created,
                size_bytes: 0,
            };
            if media::is_manifest(&record.target.media_type)
                && let Ok(bytes) = self.0.store.read_blob_verified(&record.target.digest, 4 << 20)
                && let Ok(manifest) = serde_json::from_slice::<cooper_oci::Manifest>(&bytes)
            {
                summary.image_id = Some(manifest.config.digest.clone());
                summary.size_bytes = manifest.layers.iter().map(|l| l.size).sum();
            }
            out.push(summary);
        }
        out.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(out)
    }

    /// Gives an image a second name.
    pub fn tag(&self, from: &str, to: &str) -> Result<(), BuildError> {
        let (_, target) = self.record(from)?;
        let to = parse(to)?;
        if to.digest.is_some() {
            return Err(BuildError::user(format!("{to}: a new name cannot have a digest")));
        }
        self.0.store.tag(&to.to_string(), target)?;
        Ok(())
    }

    /// Takes a name away; the blobs go with the next prune.
    pub fn remove_image(&self, name: &str) -> Result<String, BuildError> {
        let (reference, _) = self.record(name)?;
        self.0.store.untag(&reference.to_string())?;
        Ok(reference.to_string())
    }

    /// Manifest and config as JSON.
    pub fn inspect(&self, name: &str) -> Result<Value, BuildError> {
        let (reference, target) = self.record(name)?;
        let read = |d: &Descriptor| -> Result<Value, BuildError> {
            let bytes = self.0.store.read_blob_verified(&d.digest, 8 << 20)?;
            serde_json::from_slice(&bytes)
                .map_err(|e| BuildError::new(Kind::Config, format!("{} is malformed", d.digest)).caused_by(e))
        };
        let mut manifest = read(&target)?;
        let config_descriptor: Option<Descriptor> =
            manifest.get("config").cloned().and_then(|c| serde_json::from_value(c).ok());
        let config = match &config_descriptor {
            Some(d) => read(d)?,
            None => Value::Null,
        };
        if let Some(layers) = manifest.get_mut("layers").and_then(Value::as_array_mut) {
            for layer in layers {
                if let Some(annotations) = layer.get_mut("annotations").and_then(Value::as_object_mut) {
                    annotations.shift_remove(SOURCE_ANNOTATION);
                    if annotations.is_empty()
                        && let Some(layer) = layer.as_object_mut()
                    {
                        layer.shift_remove("annotations");
                    }
                }
            }
        }
        Ok(json!({
            "name": reference.to_string(),
            "digest": target.digest.as_str(),
            "mediaType": target.media_type,
            "imageId": config_descriptor.map(|d| d.digest.to_string()),
            "manifest": manifest,
            "config": config,
        }))
    }

    /// Brings an image and all its layers into the store.
    pub async fn pull(
        &self,
        name: &str,
        platform: Option<Platform>,
        events: EventSender,
    ) -> Result<Descriptor, BuildError> {
        let reference = parse(name)?;
        let source = ImageSource::Registry(reference.clone());
        let platform = platform.unwrap_or_else(Platform::host);
        let image = image_source::load(&self.0, &source, &platform, true).await?;
        let origins: Vec<Origin> = image
            .layers()
            .map(|(_, descriptor)| Origin { source: source.clone(), descriptor: descriptor.clone() })
            .collect();
        transfer::fetch_all(&self.0, &origins, &events).await?;
        let (_, target) = self.record(&reference.to_string())?;
        Ok(target)
    }

    /// Sends an image to the registry that its name says.
    pub async fn push(&self, name: &str, events: EventSender) -> Result<Descriptor, BuildError> {
        let (reference, target) = self.record(name)?;
        let bundle = if media::is_index(&target.media_type) {
            self.index_bundle(&reference, &target).await?
        } else {
            let (image, _) = self.sendable(&reference, &target).await?;
            Bundle::new(vec![image], false, true)?
        };
        let session = self.0.clone();
        // Among the tasks of its connections: from another thread, each question would wake two.
        let pushed = task::spawn(async move {
            transfer::push_bundle(&session, &bundle, &[reference], &events).await.map(|()| bundle.descriptor)
        });
        pushed.join().await?
    }

    /// All images of an index. If all can go as they are, so does the index.
    async fn index_bundle(&self, reference: &Reference, target: &Descriptor) -> Result<Bundle, BuildError> {
        let bytes = self.0.store.read_blob_verified(&target.digest, 4 << 20)?;
        let index: Index = serde_json::from_slice(&bytes).map_err(|e| {
            BuildError::new(Kind::Config, format!("{} is malformed", target.digest)).caused_by(e)
        })?;
        let (mut images, mut unchanged) = (Vec::new(), true);
        for entry in &index.manifests {
            if self.0.store.has_blob(&entry.digest)?.is_none() {
                return Err(BuildError::user(format!(
                    "{reference} was pulled for one platform only; its index names {} too",
                    entry.platform.as_ref().map_or_else(|| entry.digest.to_string(), ToString::to_string)
                ))
                .hint("registries refuse an index whose manifests they do not have"));
            }
            let (mut image, as_is) = self.sendable(reference, entry).await?;
            image.descriptor.platform.clone_from(&entry.platform);
            unchanged &= as_is;
            images.push(image);
        }
        if unchanged {
            return Ok(Bundle { images, index_bytes: Some(bytes), descriptor: target.clone() });
        }
        Bundle::new(images, true, true)
    }

    /// Another name that the image has in the same registry: its layers may be there already. Otherwise the same name.
    fn neighbour(&self, reference: &Reference, target: &Descriptor) -> Result<Reference, BuildError> {
        let records = self.0.store.images()?;
        let names = records.iter().filter(|r| r.target.digest == target.digest);
        let mut others = names.filter_map(|r| r.name.parse::<Reference>().ok());
        let found = others.find(|o| o.registry == reference.registry && o.repository != reference.repository);
        Ok(found.unwrap_or_else(|| reference.clone()))
    }

    /// Whether a layer of a stored image was made here: it is uncompressed, and did not come as such a blob.
    fn is_ours(&self, diff_id: &Digest, descriptor: &Descriptor) -> Result<bool, BuildError> {
        let store = &self.0.store;
        if descriptor.digest != *diff_id {
            return Ok(false);
        }
        let kept = store.layer(diff_id)?.is_some_and(|info| info.blobs.iter().any(|b| b.digest == *diff_id));
        Ok(kept || store.has_blob(diff_id)?.is_none())
    }

    /// An image of the store in the form that registries take; true if that is the form it has.
    async fn sendable(
        &self,
        reference: &Reference,
        target: &Descriptor,
    ) -> Result<(AssembledImage, bool), BuildError> {
        let source = ImageSource::Registry(self.neighbour(reference, target)?);
        let image = image_source::load_stored(&self.0, &source, target).await?;
        let origins = Origins::default();
        let mut rootfs = Rootfs::default();
        let mut as_stored = true;
        for (diff_id, descriptor) in image.layers() {
            let is_ours = self.is_ours(diff_id, descriptor)?;
            as_stored &= !is_ours && !descriptor.annotations.contains_key(SOURCE_ANNOTATION);
            if !is_ours {
                let mut descriptor = descriptor.clone();
                let from = descriptor.annotations.remove(SOURCE_ANNOTATION);
                let source = match from.and_then(|f| f.parse::<Reference>().ok()) {
                    Some(from) => ImageSource::Registry(from),
                    None => source.clone(),
                };
                origins.insert(diff_id.clone(), Origin { source, descriptor });
            }
            rootfs = rootfs.with(Layer {
                diff_id: diff_id.clone(),
                identity: diff_id.to_string(),
                created_seconds: None,
            });
        }
        if !as_stored {
            let purpose = Purpose::Send(Some(reference.clone()));
            let made = assemble::assemble(
                &self.0,
                &image.config,
                &rootfs,
                &origins,
                &LayerFormat::GZIP,
                &purpose,
                &[],
            )
            .await?;
            return Ok((made, false));
        }
        // Pulled as it is: the same bytes go back.
        let manifest_bytes = self.0.store.read_blob_verified(&image.descriptor.digest, 4 << 20)?;
        let config_bytes = self.0.store.read_blob_verified(&image.manifest.config.digest, 8 << 20)?;
        let made = AssembledImage {
            descriptor: image.descriptor.clone(),
            manifest_bytes,
            layers: image.layers().map(|(a, b)| (a.clone(), b.clone())).collect(),
            manifest: image.manifest.clone(),
            config_bytes,
            origins,
            format: LayerFormat::GZIP,
            created: image.config.created.clone(),
        };
        Ok((made, true))
    }
}
