//! The root filesystem of an image as one tar.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use cooper_frontend::graph::ImageSource;
use cooper_oci::{Digest, Platform};
use cooper_snapshotter::Chain;

use super::name::{ArchiveName, ImageName};
use super::{Image, Images};
use crate::arrivals::fetch_and_unpack;
use crate::error::{BuildError, Kind};
use crate::image_source::{Origin, Origins, import_layer};
use crate::images::SOURCE_ANNOTATION;
use crate::replace::replace_file;
use crate::task;

impl Images {
    /// Writes the files of an image for a platform, by default this machine's, as a tar: to a file, or to standard
    /// output. Layers are unpacked in the store, as those of a base image are. Gives back what was written.
    pub async fn export(
        &self,
        name: &ImageName,
        platform: Option<&Platform>,
        dest: Option<PathBuf>,
    ) -> Result<Image, BuildError> {
        let image = self.image(name, platform).await?;
        let session = self.session()?.0.clone();
        let origins = Origins::default();
        for (diff_id, layer) in image.config.rootfs.diff_ids.iter().zip(&image.manifest.layers) {
            // The store's own layers are their snapshots.
            if name.needs_store() && layer.digest == *diff_id {
                continue;
            }
            let from = layer.annotations.get(SOURCE_ANNOTATION).filter(|_| name.needs_store());
            let source = match (from.and_then(|f| f.parse().ok()), name) {
                (Some(reference), _) => ImageSource::Registry(reference),
                (None, ImageName::Registry(reference) | ImageName::Store(reference)) => {
                    ImageSource::Registry(reference.clone())
                }
                (None, ImageName::Layout { path, .. } | ImageName::Archive(ArchiveName { path, .. })) => {
                    ImageSource::OciLayout { path: path.clone(), tag: None, digest: None }
                }
            };
            origins.insert(diff_id.clone(), Origin { source, descriptor: layer.clone() });
        }
        let ids: Vec<Digest> = image.config.rootfs.diff_ids.clone();
        let chain = Chain::new(ids.clone());
        if !session.store.has_snapshot(&chain)? {
            if let ImageName::Archive(_) = name {
                self.import(name, &image).await?;
            }
            let origins = ids.iter().filter_map(|id| Some((id.clone(), origins.get(id)?))).collect();
            fetch_and_unpack(&session, chain.clone(), origins).await?;
        }
        task::blocking("export files", move || {
            let store = &session.store;
            if let Some(dest) = dest {
                return replace_file(&dest, |out| Ok(store.flatten_tar(&chain, out).map(drop)?));
            }
            let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
            store.flatten_tar(&chain, &mut out)?;
            out.flush()
                .map_err(|e| BuildError::new(Kind::Config, "cannot write to standard output").caused_by(e))
        })
        .await?;
        Ok(image)
    }

    /// Copies the layers of an archive into the store.
    async fn import(&self, name: &ImageName, image: &Image) -> Result<(), BuildError> {
        let (session, shelf) = (&self.session()?.0, self.shelf(name).await?);
        for layer in &image.manifest.layers {
            if session.store.has_blob(&layer.digest)?.is_none() {
                import_layer(session, shelf.sized_blob(layer)?, layer).await?;
            }
        }
        Ok(())
    }
}
