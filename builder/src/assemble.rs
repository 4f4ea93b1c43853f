//! Makes the image out of a root filesystem and its plan: config, history, layer descriptors, manifest.
//!
//! A layer has one uncompressed form, which its diff ID names, and any number of compressed ones. The store's own
//! images use the uncompressed form, whose blob need not exist: it is made from the snapshot whenever it is read.

use std::sync::Arc;

use cooper_frontend::graph::ImagePlan;
use cooper_oci::compress::Compression;
use cooper_oci::{
    Descriptor, Digest, History, ImageConfig, Index, Manifest, Platform, format_rfc3339, media,
};
use tokio::runtime::Handle;

use crate::error::{BuildError, Kind};
use crate::forms::{self, Purpose, Wanted};
use crate::image_source::{Origins, fetch_layer};
use crate::rootfs::Rootfs;
use crate::session::Inner;

/// How layers are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerFormat {
    /// Compression of layers made here.
    pub compression: Compression,
    /// Level; `None` is the algorithm's default.
    pub level: Option<i32>,
    /// Recompress base layers too.
    pub force: bool,
    /// OCI media types; Docker's otherwise.
    pub oci_types: bool,
}

impl LayerFormat {
    /// What the local store uses: nothing is compressed, base layers stay as they came.
    pub const STORE: LayerFormat =
        LayerFormat { compression: Compression::None, level: None, force: false, oci_types: true };
    /// What goes to registries and archives by default.
    pub const GZIP: LayerFormat =
        LayerFormat { compression: Compression::Gzip, level: None, force: false, oci_types: true };
}

/// An image ready to be stored or sent.
#[derive(Debug, Clone)]
pub struct AssembledImage {
    /// Descriptor of the manifest, with its platform.
    pub descriptor: Descriptor,
    /// The manifest's bytes.
    pub manifest_bytes: Vec<u8>,
    /// The manifest.
    pub manifest: Manifest,
    /// The config's bytes.
    pub config_bytes: Vec<u8>,
    /// Layers in order: diff ID and descriptor.
    pub layers: Vec<(Digest, Descriptor)>,
    /// Where base layers can be fetched.
    pub origins: Origins,
    /// The form of layers that were made here.
    pub format: LayerFormat,
    /// `created` of the config.
    pub created: Option<String>,
}

/// What is stored or sent under a name: one image, or an index over several.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The images, one for each platform.
    pub images: Vec<AssembledImage>,
    /// The index's bytes, if there is one.
    pub index_bytes: Option<Vec<u8>>,
    /// Descriptor of the index or of the only manifest.
    pub descriptor: Descriptor,
}

impl Bundle {
    /// Puts images together.
    pub fn new(images: Vec<AssembledImage>, as_index: bool, oci_types: bool) -> Result<Bundle, BuildError> {
        let first =
            images.first().ok_or_else(|| BuildError::new(Kind::Internal, "a bundle without images"))?;
        if !as_index {
            let descriptor = first.descriptor.clone();
            return Ok(Bundle { images, index_bytes: None, descriptor });
        }
        let media_type = if oci_types { media::OCI_INDEX } else { media::DOCKER_LIST };
        let mut index = Index::new(images.iter().map(|i| i.descriptor.clone()).collect());
        index.media_type = Some(media_type.to_string());
        let bytes = json(&index)?;
        let descriptor = Descriptor::of(media_type, &bytes);
        Ok(Bundle { images, index_bytes: Some(bytes), descriptor })
    }
}

/// A document of ours as the bytes that its digest is made of.
pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, BuildError> {
    cooper_oci::json::to_vec(value)
        .map_err(|e| BuildError::new(Kind::Internal, "a document could not be written as JSON").caused_by(e))
}

/// The platform that a config says.
fn platform_of(config: &ImageConfig) -> Platform {
    let mut platform = Platform::new(&config.os, &config.architecture, config.variant.as_deref());
    platform.os_version.clone_from(&config.os_version);
    platform.os_features.clone_from(&config.os_features);
    platform
}

/// The bytes of a config.
pub fn config_bytes(config: &ImageConfig) -> Result<Vec<u8>, BuildError> {
    json(config)
}

/// Completes the planned config: diff IDs and the times that only the build knows.
pub fn finish_config(plan: &ImagePlan, rootfs: &Rootfs) -> ImageConfig {
    let mut config = plan.config.clone();
    config.rootfs.diff_ids = rootfs.layers().iter().map(|l| l.diff_id.clone()).collect();
    let base = plan.base_history_len.min(config.history.len());
    let base_created =
        config.history[..base].iter().rev().find_map(|h| h.created.clone()).or(config.created.take());
    let base_layers = config.history[..base].iter().filter(|h| !h.empty_layer).count();
    let fixed = plan.source_date_epoch.map(|s| format_rfc3339(s, 0));
    let mut last = base_created.clone();
    let mut next_layer = base_layers;
    for entry in &mut config.history[base..] {
        if !entry.empty_layer {
            if let Some(layer) = rootfs.layers().get(next_layer) {
                last = layer.created_seconds.map(|s| format_rfc3339(s, 0)).or(last);
            }
            next_layer += 1;
        }
        entry.created = fixed.clone().or_else(|| last.clone());
    }
    // A base image may have layers that its history does not mention.
    for layer in rootfs.layers().iter().skip(next_layer) {
        config.history.push(History {
            created: fixed
                .clone()
                .or_else(|| layer.created_seconds.map(|s| format_rfc3339(s, 0)))
                .or_else(|| last.clone()),
            comment: Some("cooper.exporter.image.v0".into()),
            ..History::default()
        });
    }
    config.created = fixed.or(last).or(base_created);
    config
}

/// Builds manifest and config for a root filesystem; compresses what is not yet compressed as asked.
pub async fn assemble(
    session: &Arc<Inner>,
    config: &ImageConfig,
    rootfs: &Rootfs,
    origins: &Origins,
    format: &LayerFormat,
    purpose: &Purpose,
    annotations: &[(String, String)],
) -> Result<AssembledImage, BuildError> {
    let config_bytes = config_bytes(config)?;
    let descriptors = futures_util::future::try_join_all(
        rootfs
            .layers()
            .iter()
            .map(|layer| layer_descriptor(session, &layer.diff_id, origins, format, purpose, false)),
    )
    .await?;
    let config_type = if format.oci_types { media::OCI_CONFIG } else { media::DOCKER_CONFIG };
    let mut manifest = Manifest::new(Descriptor::of(config_type, &config_bytes), descriptors.clone());
    manifest.media_type =
        Some(if format.oci_types { media::OCI_MANIFEST } else { media::DOCKER_MANIFEST }.to_string());
    manifest.annotations.extend(annotations.iter().cloned());
    let manifest_bytes = json(&manifest)?;
    let mut descriptor = Descriptor::of(manifest.media_type.clone().unwrap_or_default(), &manifest_bytes);
    descriptor.platform = Some(platform_of(config));
    let layers = rootfs.layers().iter().map(|l| l.diff_id.clone()).zip(descriptors).collect();
    Ok(AssembledImage {
        descriptor,
        manifest_bytes,
        manifest,
        config_bytes,
        layers,
        origins: origins.clone(),
        format: format.clone(),
        created: config.created.clone(),
    })
}

/// The descriptor of one layer in the format asked for, making it if it is not known. `early`: other work comes first.
pub(crate) async fn layer_descriptor(
    session: &Arc<Inner>,
    diff_id: &Digest,
    origins: &Origins,
    format: &LayerFormat,
    purpose: &Purpose,
    early: bool,
) -> Result<Descriptor, BuildError> {
    if let Some(origin) = origins.get(diff_id)
        && !(format.force && media::compression_of(&origin.descriptor.media_type) != Some(format.compression))
    {
        let mut descriptor = Descriptor::new(
            converted(&origin.descriptor.media_type, format.oci_types),
            origin.descriptor.digest.clone(),
            origin.descriptor.size,
        );
        descriptor.annotations.clone_from(&origin.descriptor.annotations);
        return Ok(descriptor);
    }
    let base = origins.get(diff_id);
    if let Some(origin) = &base {
        fetch_layer(session, origin).await?;
    }
    let wanted = Wanted {
        diff_id: diff_id.clone(),
        base: base.map(|o| o.descriptor),
        format: format.clone(),
        purpose: purpose.clone(),
    };
    forms::descriptor(session, wanted, early).await
}

fn converted(media_type: &str, oci_types: bool) -> String {
    if oci_types { media::to_oci(media_type).to_string() } else { media::to_docker(media_type).to_string() }
}

/// A layer's uncompressed tar as a stream: from the base image's blob, which must be in the store or on its way there,
/// or from a form that the store keeps.
pub fn open_layer_tar(
    session: &Inner,
    diff_id: &Digest,
    base: Option<&Descriptor>,
    runtime: &Handle,
) -> Result<Box<dyn std::io::Read>, cooper_snapshotter::Error> {
    let missing = || cooper_snapshotter::Error::SnapshotMissing(diff_id.clone());
    let (file, compression): (Box<dyn std::io::Read + Send>, _) = if let Some(base) = base {
        let compression = media::compression_of(&base.media_type).unwrap_or(Compression::None);
        match session.arrivals.follow(&base.digest, runtime.clone()) {
            Some(arrival) => (arrival, compression),
            None => (Box::new(session.store.open_blob(&base.digest)?), compression),
        }
    } else {
        let (file, compression) = session.store.kept_form(diff_id)?.ok_or_else(missing)?;
        (Box::new(file), compression)
    };
    let reader = cooper_oci::compress::threaded_decoder(file, compression, session.threads)
        .map_err(|source| cooper_snapshotter::Error::LayerStream { layer: diff_id.to_string(), source })?;
    Ok(reader)
}

/// Writes a layer's uncompressed tar: from its snapshot if we made it, else from the base image's blob.
pub fn write_layer_tar(
    session: &Inner,
    diff_id: &Digest,
    base: Option<&Descriptor>,
    runtime: &Handle,
    out: &mut dyn std::io::Write,
) -> Result<(), BuildError> {
    if base.is_none() {
        return Ok(session.store.layer_tar(diff_id, out)?);
    }
    let mut tar = open_layer_tar(session, diff_id, base, runtime)?;
    std::io::copy(&mut tar, out)
        .map_err(|e| BuildError::new(Kind::Config, format!("cannot read layer {diff_id}")).caused_by(e))?;
    Ok(())
}
