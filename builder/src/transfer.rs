//! Moves blobs between registries and the store.

use std::sync::Arc;

use cooper_oci::{Descriptor, Digest, Index, Reference, media};
use cooper_registry_client::{FileSource, PushOptions, WriteSink};

use crate::assemble::AssembledImage;
use crate::error::{BuildError, Kind};
use crate::event::EventSender;
use crate::image_source::{Origin, fetch_layer};
use crate::session::Inner;
use crate::task;

/// Brings one blob into the store; verified while it streams.
pub async fn pull_blob(
    session: &Arc<Inner>,
    reference: &Reference,
    descriptor: &Descriptor,
) -> Result<(), BuildError> {
    let failed = |e: &dyn std::fmt::Display| {
        BuildError::new(Kind::Remote, format!("failed to fetch {} of {reference}: {e}", descriptor.digest))
    };
    let writer = session.store.blob_writer(Some(&descriptor.digest), Some(descriptor.size))?;
    let mut sink = WriteSink::new(writer);
    session.client()?.pull_blob(reference, descriptor, &mut sink).await.map_err(|e| failed(&e))?;
    let writer = sink.into_inner().await.ok_or_else(|| failed(&"the writer was lost"))?;
    task::blocking("keep blob", move || Ok(writer.commit().map(drop)?)).await
}

/// Brings several layers at once.
pub async fn fetch_all(session: &Arc<Inner>, origins: &[Origin], _events: &EventSender) -> Result<(), BuildError> {
    futures_util::future::try_join_all(origins.iter().map(|o| fetch_layer(session, o))).await?;
    Ok(())
}

/// Sends an image under each of its names: blobs first and in parallel, then the config, the manifest, the tag.
pub async fn push_image(
    session: &Arc<Inner>,
    image: &AssembledImage,
    names: &[Reference],
    _events: &EventSender,
) -> Result<(), BuildError> {
    for name in names {
        push_blobs(session, image, name).await?;
        let config = image.manifest.config.clone();
        let failed = |e: cooper_registry_client::Error| {
            BuildError::new(Kind::Remote, format!("failed to push {name}")).caused_by(e)
        };
        let client = session.client()?;
        let config_bytes = bytes::Bytes::from(image.config_bytes.clone());
        client.push_blob(name, &config, &config_bytes, &PushOptions::default()).await.map_err(failed)?;
        let media_type = &image.descriptor.media_type;
        client.push_manifest(name, media_type, bytes::Bytes::from(image.manifest_bytes.clone())).await.map_err(failed)?;
    }
    Ok(())
}

fn blob_path(session: &Inner, digest: &Digest) -> std::path::PathBuf {
    session.store.root().join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
}

async fn push_blobs(session: &Arc<Inner>, image: &AssembledImage, name: &Reference) -> Result<(), BuildError> {
    let mut seen = std::collections::BTreeSet::new();
    let layers = image.layers.iter().filter(|(_, d)| seen.insert(d.digest.clone()));
    let pushes = layers.map(|(diff_id, descriptor)| push_layer(session, image, diff_id, descriptor, name));
    futures_util::future::try_join_all(pushes).await?;
    Ok(())
}

async fn push_layer(
    session: &Arc<Inner>,
    image: &AssembledImage,
    diff_id: &Digest,
    descriptor: &Descriptor,
    name: &Reference,
) -> Result<(), BuildError> {
    let failed = |e: cooper_registry_client::Error| {
        BuildError::new(Kind::Remote, format!("failed to push layer {} to {name}", descriptor.digest)).caused_by(e)
    };
    let client = session.client()?;
    if client.blob_exists(name, &descriptor.digest).await.map_err(failed)? {
        return Ok(());
    }
    if let Some(origin) = image.origins.get(diff_id).filter(|o| o.descriptor.digest == descriptor.digest) {
        if let cooper_frontend::graph::ImageSource::Registry(from) = &origin.source
            && from.registry == name.registry
            && from.repository != name.repository
            && client.mount_blob(name, &descriptor.digest, &from.repository).await.map_err(failed)?
        {
            return Ok(());
        }
        fetch_layer(session, &origin).await?;
    }
    if session.store.has_blob(&descriptor.digest)?.is_none() && descriptor.digest == *diff_id {
        // The uncompressed form exists only as a snapshot: make the blob.
        let (session, diff_id) = (session.clone(), diff_id.clone());
        task::blocking("write layer", move || {
            let mut writer = session.store.blob_writer(Some(&diff_id), None)?;
            session.store.layer_tar(&diff_id, &mut writer)?;
            writer.commit()?;
            Ok(())
        })
        .await?;
    }
    let source = FileSource(blob_path(session, &descriptor.digest));
    client.push_blob(name, descriptor, &source, &PushOptions::default()).await.map_err(failed)?;
    Ok(())
}

/// Sends a pulled index with all its manifests that are in the store.
pub async fn push_index(
    session: &Arc<Inner>,
    name: &Reference,
    target: &Descriptor,
    _events: &EventSender,
) -> Result<Descriptor, BuildError> {
    let failed = |e: cooper_registry_client::Error| {
        BuildError::new(Kind::Remote, format!("failed to push {name}")).caused_by(e)
    };
    let client = session.client()?;
    let bytes = session.store.read_blob_verified(&target.digest, 4 << 20)?;
    let index: Index = serde_json::from_slice(&bytes)
        .map_err(|e| BuildError::new(Kind::Config, format!("{} is malformed", target.digest)).caused_by(e))?;
    for entry in &index.manifests {
        if session.store.has_blob(&entry.digest)?.is_none() {
            return Err(BuildError::user(format!("{name} was pulled for one platform only; {} is missing", entry.digest))
                .hint("registries refuse an index whose manifests they do not have"));
        }
        let bytes = session.store.read_blob_verified(&entry.digest, 4 << 20)?;
        let manifest: cooper_oci::Manifest = serde_json::from_slice(&bytes)
            .map_err(|e| BuildError::new(Kind::Config, format!("{} is malformed", entry.digest)).caused_by(e))?;
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            let source = FileSource(blob_path(session, &blob.digest));
            client.push_blob(name, blob, &source, &PushOptions::default()).await.map_err(failed)?;
        }
        let by_digest = Reference { tag: None, digest: Some(entry.digest.clone()), ..name.clone() };
        client.push_manifest(&by_digest, &entry.media_type, bytes::Bytes::from(bytes)).await.map_err(failed)?;
    }
    debug_assert!(media::is_index(&target.media_type));
    client.push_manifest(name, &target.media_type, bytes::Bytes::from(bytes)).await.map_err(failed)?;
    Ok(target.clone())
}
