//! Images of Docker's archives on their way to where layers are compressed.
//!
//! The manifest names the compressed layers, so all are compressed before anything is sent: into one file without a name in
//! the directory for temporary files. Layers that are compressed already stay as they are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::sync::Arc;

use cooper_oci::compress::{Compression, encoder};
use cooper_oci::{Descriptor, HashingReader, HashingWriter, Manifest, media};

use super::Images;
use super::name::ImageName;
use crate::error::{BuildError, Kind};
use crate::image_source::{MAX_MANIFEST_BYTES, parse};
use crate::layout::{Image, Pick, Shelf, Window};
use crate::task;

impl Images {
    /// From here on, the image has compressed layers.
    pub(super) async fn compress(&self, name: &ImageName) -> Result<(), BuildError> {
        let shelf = self.shelf(name).await?;
        let compressed = task::blocking("compress layers", move || compressed(&shelf)).await?;
        self.archives.lock().await.insert(name.to_string(), Arc::new(compressed));
        Ok(())
    }
}

fn compressed(shelf: &Shelf) -> Result<Shelf, BuildError> {
    let entry = shelf.entry(&Pick::Tag(None))?;
    let manifest: Manifest = parse(&shelf.small(&entry.digest, MAX_MANIFEST_BYTES)?, &entry)?;
    let kept = |e: std::io::Error| {
        let place = std::env::temp_dir();
        BuildError::new(Kind::Config, format!("cannot write to {}", place.display()))
            .caused_by(e)
            .hint("layers are compressed there first; TMPDIR names another directory")
    };
    let file = Arc::new(tempfile::tempfile().map_err(kept)?);
    let mut end = 0;
    let mut blobs = BTreeMap::new();
    let mut done: BTreeMap<_, Descriptor> = BTreeMap::new();
    let mut layers = Vec::new();
    for layer in &manifest.layers {
        let window = shelf.sized_blob(layer)?;
        if layer.media_type != media::OCI_LAYER_TAR {
            blobs.insert(layer.digest.clone(), window);
            layers.push(layer.clone());
            continue;
        }
        if let Some(before) = done.get(&layer.digest) {
            layers.push(before.clone());
            continue;
        }
        let mut from = HashingReader::with_algorithm(window.reader(0), layer.digest.algorithm());
        let made = gzip(&mut from, &file).map_err(kept)?;
        if from.finish().1 != layer.digest {
            let place = shelf.place(&layer.digest);
            return Err(BuildError::user(format!("{place} is damaged: it has another content")));
        }
        blobs.insert(made.digest.clone(), Window::new(file.clone(), end, made.size));
        end += made.size;
        done.insert(layer.digest.clone(), made.clone());
        layers.push(made);
    }
    blobs.insert(manifest.config.digest.clone(), shelf.sized_blob(&manifest.config)?);
    Ok(shelf.with(Image::new(manifest.config, entry.platform, layers, blobs)?))
}

/// Appends a compressed layer to a file.
fn gzip(from: &mut impl std::io::Read, file: &File) -> std::io::Result<Descriptor> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let out = HashingWriter::new(BufWriter::with_capacity(1 << 20, file));
    let mut out = encoder(out, Compression::Gzip, None, threads)?;
    std::io::copy(from, &mut out)?;
    let (mut out, digest, size) = out.finish()?.finish();
    out.flush()?;
    Ok(Descriptor::new(media::OCI_LAYER_GZIP, digest, size))
}
