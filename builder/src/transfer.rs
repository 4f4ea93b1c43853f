//! Moves blobs between registries and the store.

use std::sync::Arc;

use cooper_oci::{Descriptor, Digest, Reference};
use cooper_registry_client::{ErrorKind, FileSource, PushOptions, Pushed};

use crate::assemble::{AssembledImage, Bundle};
use crate::distribution::judged;
use crate::error::{BuildError, Kind};
use crate::event::EventSender;
use crate::forms::{self, Place, Purpose, Wanted};
use crate::growing::GrowingSource;
use crate::image_source::{Origin, fetch_layer};
use crate::session::Inner;

/// Brings several layers at once.
pub async fn fetch_all(
    session: &Arc<Inner>,
    origins: &[Origin],
    _events: &EventSender,
) -> Result<(), BuildError> {
    futures_util::future::try_join_all(origins.iter().map(|o| fetch_layer(session, o))).await?;
    Ok(())
}

/// Sends a bundle under each of its names: layers and config in parallel, then manifests, the index, the tag. A
/// name without a tag gets the manifest by its digest. What the registry has is not sent, but all of it is asked for: a
/// registry that lost something gets it again.
pub async fn push_bundle(
    session: &Arc<Inner>,
    bundle: &Bundle,
    names: &[Reference],
    _events: &EventSender,
) -> Result<(), BuildError> {
    for name in names {
        let below_index = bundle.index_bytes.is_some();
        let images = bundle.images.iter().map(|image| push_image(session, image, name, below_index));
        let images = futures_util::future::try_join_all(images);
        let Some(index) = &bundle.index_bytes else {
            images.await?;
            continue;
        };
        let client = session.push_client(name);
        let to = place(name, &bundle.descriptor.digest);
        let there = client.has_manifest(&to, &bundle.descriptor.digest);
        let (images, there) = tokio::try_join!(images, async { Ok(there.await) })?;
        if !there || images.contains(&Sent::New) {
            let media_type = &bundle.descriptor.media_type;
            client.push_manifest(&to, media_type, index.clone()).await.map_err(|e| refused(name, e))?;
        }
    }
    Ok(())
}

/// What came of sending something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// The repository had it.
    Known,
    /// It has it now.
    New,
}

fn refused(name: &Reference, e: cooper_registry_client::Error) -> BuildError {
    remote(format!("failed to push {name}"), e)
}

/// A registry's refusal, in words of one's own before its.
pub fn remote(what: String, e: cooper_registry_client::Error) -> BuildError {
    judged(what, &e).caused_by(e)
}

/// Where a manifest goes: to the name's tag, or to its own digest.
fn place(name: &Reference, digest: &Digest) -> Reference {
    if name.tag.is_some() { name.clone() } else { name.with_digest(digest.clone()) }
}

async fn push_image(
    session: &Arc<Inner>,
    image: &AssembledImage,
    name: &Reference,
    below_index: bool,
) -> Result<Sent, BuildError> {
    let client = session.push_client(name);
    let config_bytes = bytes::Bytes::from(image.config_bytes.clone());
    let push_config = async || {
        let options = PushOptions::default();
        client
            .push_blob(name, &image.manifest.config, &config_bytes, &options)
            .await
            .map_err(|e| refused(name, e))
    };
    let untagged = Reference { tag: None, ..name.clone() };
    let to = place(if below_index { &untagged } else { name }, &image.descriptor.digest);
    let there = async { Ok(client.has_manifest(&to, &image.descriptor.digest).await) };
    // First what a registry needs longest for.
    let (there, layers, config) =
        tokio::try_join!(there, push_blobs(session, image, name, true), push_config())?;
    if there && layers == Sent::Known && config == Pushed::Existed {
        return Ok(Sent::Known);
    }
    let store = || client.push_manifest(&to, &image.descriptor.media_type, image.manifest_bytes.clone());
    let stored = match store().await {
        // What was there a moment ago was cleaned up meanwhile, or what was mounted did not come: once more, all of it.
        Err(e) if lacks_blobs(&e) => {
            Box::pin(push_blobs(session, image, name, false)).await?;
            Box::pin(push_config()).await?;
            Box::pin(store()).await
        }
        stored => stored,
    };
    stored.map_err(|e| refused(name, e))?;
    Ok(Sent::New)
}

fn lacks_blobs(error: &cooper_registry_client::Error) -> bool {
    let codes = ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"];
    error.answer().is_some_and(|answer| codes.iter().any(|code| answer.has_code(code)))
}

async fn push_blobs(
    session: &Arc<Inner>,
    image: &AssembledImage,
    name: &Reference,
    mounts: bool,
) -> Result<Sent, BuildError> {
    let mut seen = std::collections::BTreeSet::new();
    let layers = image.layers.iter().filter(|(_, d)| seen.insert(d.digest.clone()));
    let pushes =
        layers.map(|(diff_id, descriptor)| push_layer(session, image, diff_id, descriptor, name, mounts));
    let pushed = futures_util::future::try_join_all(pushes).await?;
    Ok(if pushed.contains(&Sent::New) { Sent::New } else { Sent::Known })
}

async fn push_layer(
    session: &Arc<Inner>,
    image: &AssembledImage,
    diff_id: &Digest,
    descriptor: &Descriptor,
    name: &Reference,
    mounts: bool,
) -> Result<Sent, BuildError> {
    let failed = |e: cooper_registry_client::Error| {
        remote(format!("failed to push layer {} to {name}", descriptor.digest), e)
    };
    if forms::uploaded(session, &descriptor.digest, name).await? {
        return Ok(Sent::New);
    }
    let client = session.push_client(name);
    match client.blob_exists(name, &descriptor.digest).await {
        Ok(true) => return Ok(Sent::Known),
        Ok(false) => {}
        // Some registries cannot answer this; the upload will tell what is really wrong.
        Err(e) if matches!(e.kind(), ErrorKind::Denied | ErrorKind::Protocol) => {}
        Err(e) => return Err(failed(e)),
    }
    let origin = image.origins.get(diff_id);
    if let Some(origin) = origin.as_ref().filter(|o| o.descriptor.digest == descriptor.digest) {
        if let cooper_frontend::graph::ImageSource::Registry(from) = &origin.source
            && mounts
            && from.registry == name.registry
            && from.repository != name.repository
            && client.mount_blob(name, &descriptor.digest, &from.repository).await.map_err(failed)?
        {
            return Ok(Sent::New);
        }
        fetch_layer(session, origin).await?;
    }
    if bring_form(session, image, diff_id, descriptor, Some(name)).await?
        && forms::uploaded(session, &descriptor.digest, name).await?
    {
        return Ok(Sent::New);
    }
    let options = PushOptions { missing: true, ..PushOptions::default() };
    match forms::place(session, &descriptor.digest)? {
        Some(Place::Blob(path)) => client.push_blob(name, descriptor, &FileSource(path), &options).await,
        Some(Place::Session(growing)) => {
            client.push_blob(name, descriptor, &GrowingSource(growing), &options).await
        }
        None => return Err(BuildError::new(Kind::Internal, format!("{} is lost", descriptor.digest))),
    }
    .map_err(failed)?;
    Ok(Sent::New)
}

/// Makes sure that the bytes of a layer made here, or made anew from a base layer, are at hand. True if they had to be
/// made; if `name` is given, they are sent there meanwhile.
pub async fn bring_form(
    session: &Arc<Inner>,
    image: &AssembledImage,
    diff_id: &Digest,
    descriptor: &Descriptor,
    name: Option<&Reference>,
) -> Result<bool, BuildError> {
    if forms::place(session, &descriptor.digest)?.is_some() {
        return Ok(false);
    }
    let origin = image.origins.get(diff_id);
    if let Some(origin) = &origin {
        fetch_layer(session, origin).await?;
    }
    let wanted = Wanted {
        diff_id: diff_id.clone(),
        base: origin.map(|o| o.descriptor),
        format: image.format.clone(),
        purpose: Purpose::Send(name.cloned()),
    };
    forms::make_again(session, wanted, descriptor).await?;
    Ok(true)
}
