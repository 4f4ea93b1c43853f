//! What `docker save` writes: `manifest.json`, which lists images, and in each a config and uncompressed layers as files
//! of the archive.
//!
//! Such an image has no manifest of the kind that registries hold. It gets one here: of the OCI types, with the layers as
//! they are in the archive.

use std::collections::BTreeMap;

use cooper_oci::compress::{Compression, Detected};
use cooper_oci::{Descriptor, Digest, HashingReader, ImageConfig, Manifest, Platform, Reference, media};
use serde::Deserialize;

use super::{Members, Pick, Window};
use crate::assemble::json;
use crate::error::BuildError;
use crate::image_source::{MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES};

pub(super) const LIST: &str = "manifest.json";

/// An entry of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// One image of an archive.
#[derive(Debug)]
pub(crate) struct Image {
    /// The descriptor of the manifest.
    pub(super) descriptor: Descriptor,
    pub(super) manifest: Vec<u8>,
    /// Config and layers.
    pub(super) blobs: BTreeMap<Digest, Window>,
}

impl Image {
    /// Puts an image together.
    pub(crate) fn new(
        config: Descriptor,
        platform: Option<Platform>,
        layers: Vec<Descriptor>,
        blobs: BTreeMap<Digest, Window>,
    ) -> Result<Image, BuildError> {
        let manifest = json(&Manifest::new(config, layers))?;
        let mut descriptor = Descriptor::of(media::OCI_MANIFEST, &manifest);
        descriptor.platform = platform;
        Ok(Image { descriptor, manifest, blobs })
    }

    /// Finds the image that is meant.
    pub(super) fn find(archive: &str, members: &Members, pick: &Pick) -> Result<Image, BuildError> {
        if !members.has(LIST) {
            let error = BuildError::user(format!("{archive} is no archive of docker save: it has no {LIST}"));
            return Err(if members.has("index.json") {
                error.hint(format!("it is an OCI layout: oci-archive:{archive}"))
            } else {
                error
            });
        }
        let broken = |name: &str, e: serde_json::Error| {
            BuildError::user(format!("{archive}: {name} is malformed")).caused_by(e)
        };
        let list = read(archive, members, LIST, MAX_MANIFEST_BYTES)?;
        let list: Vec<Saved> = serde_json::from_slice(&list).map_err(|e| broken(LIST, e))?;
        let saved = chosen(archive, list, pick)?;
        let bytes = read(archive, members, &saved.config, MAX_CONFIG_BYTES)?;
        let config: ImageConfig = serde_json::from_slice(&bytes).map_err(|e| broken(&saved.config, e))?;
        let described = Descriptor::of(media::OCI_CONFIG, &bytes);
        if let Some(named) = digest_in(&saved.config).filter(|named| *named != described.digest) {
            return Err(another(archive, &saved.config, &named, &described.digest));
        }
        let mut blobs = BTreeMap::new();
        blobs.insert(described.digest.clone(), members.find(&saved.config)?);
        let names = saved.layers.unwrap_or_default();
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != names.len() {
            return Err(BuildError::user(format!(
                "{archive}: {LIST} lists {} layers, but the config names {} diff IDs",
                names.len(),
                diff_ids.len()
            )));
        }
        let mut layers = Vec::new();
        for (name, diff_id) in names.iter().zip(diff_ids) {
            let window = members.find(name)?;
            let layer = layer(archive, name, &window, diff_id)?;
            blobs.insert(layer.digest.clone(), window);
            layers.push(layer);
        }
        let platform = Platform::new(&config.os, &config.architecture, config.variant.as_deref());
        Image::new(described, Some(platform), layers, blobs)
    }
}

fn read(archive: &str, members: &Members, name: &str, max_bytes: u64) -> Result<Vec<u8>, BuildError> {
    let read = members.find(name)?.bytes(max_bytes);
    read.map_err(|e| BuildError::user(format!("{archive}: cannot read {name}")).caused_by(e))
}

fn another(archive: &str, name: &str, named: &Digest, found: &Digest) -> BuildError {
    BuildError::user(format!("{archive} is damaged: {name} is not {named}, its content has digest {found}"))
}

/// The digest that a file is called by.
fn digest_in(name: &str) -> Option<Digest> {
    let last = name.rsplit('/').next()?.trim_start_matches("sha256:");
    let hex = last.split('.').next()?;
    (hex.len() == 64).then(|| format!("sha256:{hex}").parse().ok())?
}

/// Describes a layer as it is. That its content is right is seen when it is read.
fn layer(archive: &str, name: &str, window: &Window, diff_id: &Digest) -> Result<Descriptor, BuildError> {
    let failed = |e: std::io::Error| BuildError::user(format!("{archive}: cannot read {name}")).caused_by(e);
    let mut first = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(window.reader(0), 6), &mut first).map_err(failed)?;
    let compression = match Detected::of(&first) {
        Detected::None => {
            return Ok(Descriptor::new(media::OCI_LAYER_TAR, diff_id.clone(), window.size_bytes()));
        }
        Detected::Gzip => Compression::Gzip,
        Detected::Zstd => Compression::Zstd,
        Detected::Bzip2 | Detected::Xz => {
            return Err(BuildError::user(format!(
                "{archive}: the layer {name} is compressed as no image is"
            ))
            .hint("`docker load` and `docker save` make an archive of the usual kind of it"));
        }
    };
    let named = digest_in(name).filter(|_| name.starts_with("blobs/sha256/"));
    let digest = if let Some(digest) = named {
        digest
    } else {
        let mut reader = HashingReader::new(window.reader(0));
        reader.drain().map_err(failed)?;
        reader.finish().1
    };
    Ok(Descriptor::new(media::oci_layer(compression), digest, window.size_bytes()))
}

/// The image that is meant.
fn chosen(archive: &str, mut list: Vec<Saved>, pick: &Pick) -> Result<Saved, BuildError> {
    let names = |list: &[Saved]| {
        let tags: Vec<&str> =
            list.iter().flat_map(|s| s.repo_tags.iter().flatten().map(String::as_str)).collect();
        if tags.is_empty() { "no image has a name".to_owned() } else { format!("it has {}", tags.join(", ")) }
    };
    let (at, missing) = match pick {
        Pick::Tag(None) if list.len() == 1 => (Some(0), String::new()),
        Pick::Tag(None) => {
            return Err(BuildError::user(format!("{archive} has {} images", list.len())).hint(format!(
                "name one: docker-archive:{archive}:NAME, or :@0 for the first; {}",
                names(&list)
            )));
        }
        Pick::Number(n) => ((*n < list.len()).then_some(*n), format!("{archive} has {} images", list.len())),
        Pick::Tag(Some(name)) => {
            let same = |tag: &String| tag == name || same_name(tag, name);
            let at = list.iter().position(|s| s.repo_tags.iter().flatten().any(same));
            (at, format!("{archive} has no image {name}"))
        }
        Pick::Digest(digest) => {
            return Err(BuildError::user(format!(
                "{archive}: {digest} is no name in an archive of docker save"
            )));
        }
    };
    match at {
        Some(at) => Ok(list.swap_remove(at)),
        None => Err(BuildError::user(missing).hint(names(&list))),
    }
}

/// Whether two names mean one image, however much of them is written.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    let read =
        |text: &str| text.parse::<Reference>().ok().map(|r| (r.name(), r.tag_or_latest().map(str::to_owned)));
    read(one).is_some_and(|one| read(other) == Some(one))
}
