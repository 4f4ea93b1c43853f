//! Layers as streams of tar, from wherever they are; nothing is stored.

use std::io::{self, BufReader, Read};

use cooper_oci::{Descriptor, Digest, HashingReader, Reference, compress, media};
use cooper_registry_client::WriteSink;

use super::name::ImageName;
use super::{Images, refused};
use crate::error::{BuildError, Kind};
use crate::images::SOURCE_ANNOTATION;
use crate::layout::Window;
use crate::task;

const BUFFER_BYTES: usize = 256 << 10;

/// Where the bytes of a layer come from.
enum Place {
    /// A file with the blob, or in which it lies.
    File(Window),
    /// A snapshot of the store.
    Snapshot,
    /// A registry.
    Registry(Reference),
}

impl Images {
    /// Hands the uncompressed tar of a layer to `work`. Succeeds only if the whole blob is what its digest says.
    pub(super) async fn read_layer<T: Send + 'static>(
        &self,
        name: &ImageName,
        diff_id: &Digest,
        layer: &Descriptor,
        work: impl FnOnce(&mut dyn Read) -> Result<T, BuildError> + Send + 'static,
    ) -> Result<T, BuildError> {
        let compression = media::compression_of(&layer.media_type).ok_or_else(|| {
            BuildError::user(format!("{name}: {} is of type {}, no layer", layer.digest, layer.media_type))
        })?;
        let digest = layer.digest.clone();
        let read = move |raw: &mut dyn Read| {
            let mut plain = compress::decoder(BufReader::with_capacity(BUFFER_BYTES, raw), compression)
                .map_err(|e| damaged(&digest, e))?;
            let value = work(&mut plain)?;
            // What follows the archive's end belongs to the blob, too.
            io::copy(&mut plain, &mut io::sink()).map_err(|e| damaged(&digest, e))?;
            Ok(value)
        };
        match self.place(name, diff_id, layer).await? {
            Place::File(file) => {
                let digest = layer.digest.clone();
                task::blocking("read layer", move || {
                    let mut raw = HashingReader::with_algorithm(file.reader(0), digest.algorithm());
                    let value = read(&mut raw)?;
                    io::copy(&mut raw, &mut io::sink()).map_err(|e| damaged(&digest, e))?;
                    let (_, found, _) = raw.finish();
                    if found == digest { Ok(value) } else { Err(another(&digest, &found)) }
                })
                .await
            }
            Place::Snapshot => {
                let store = self.session()?.store().clone();
                let diff_id = diff_id.clone();
                let (reader, mut writer) = pipe()?;
                let write =
                    task::blocking("write layer", move || Ok(store.layer_tar(&diff_id, &mut writer)?));
                let parse = task::blocking("read layer", move || drained(reader, read));
                let (written, value) = futures_util::future::join(write, parse).await;
                // A reader that gave up makes the writer fail.
                let value = value?;
                written.map(|()| value)
            }
            Place::Registry(reference) => {
                let (reader, writer) = pipe()?;
                let parse = task::blocking("read layer", move || drained(reader, read));
                let pull = async {
                    let mut sink = WriteSink::new(writer);
                    let pulled = self.client.pull_blob(&reference, layer, &mut sink).await;
                    // Dropped here, so that the reader sees the end.
                    drop(sink.into_inner().await);
                    pulled
                };
                let (pulled, value) = futures_util::future::join(pull, parse).await;
                match pulled {
                    Err(e) if e.kind() == cooper_registry_client::ErrorKind::Local && value.is_err() => value,
                    Err(e) => Err(refused(e)),
                    Ok(()) => value,
                }
            }
        }
    }

    async fn place(
        &self,
        name: &ImageName,
        diff_id: &Digest,
        layer: &Descriptor,
    ) -> Result<Place, BuildError> {
        match name {
            ImageName::Registry(reference) => Ok(Place::Registry(reference.clone())),
            ImageName::Layout { .. } | ImageName::Archive(_) => {
                Ok(Place::File(self.shelf(name).await?.blob(&layer.digest)?))
            }
            ImageName::Store(reference) => {
                let store = self.session()?.store();
                if store.has_blob(&layer.digest)?.is_some() {
                    let open = Window::whole(store.open_blob(&layer.digest)?);
                    return open.map(Place::File).map_err(|e| damaged(&layer.digest, e));
                }
                if layer.digest == *diff_id {
                    return Ok(Place::Snapshot);
                }
                // A base layer that was never needed here.
                let from = layer.annotations.get(SOURCE_ANNOTATION).and_then(|f| f.parse().ok());
                Ok(Place::Registry(from.unwrap_or_else(|| reference.clone())))
            }
        }
    }
}

fn pipe() -> Result<(io::PipeReader, io::PipeWriter), BuildError> {
    io::pipe().map_err(|e| BuildError::new(Kind::Config, "cannot make a pipe").caused_by(e))
}

/// Reads what `read` wants, and then the rest: a writer must not fail because of padding that nobody looks at.
fn drained<T>(
    mut reader: io::PipeReader,
    read: impl FnOnce(&mut dyn Read) -> Result<T, BuildError>,
) -> Result<T, BuildError> {
    let value = read(&mut reader)?;
    io::copy(&mut reader, &mut io::sink())
        .map_err(|e| BuildError::new(Kind::Config, "cannot read from a pipe").caused_by(e))?;
    Ok(value)
}

fn damaged(digest: &Digest, e: io::Error) -> BuildError {
    BuildError::new(Kind::Remote, format!("layer {digest} cannot be read")).caused_by(e)
}

fn another(digest: &Digest, found: &Digest) -> BuildError {
    BuildError::new(Kind::Remote, format!("layer {digest} is damaged: its content has digest {found}"))
}
