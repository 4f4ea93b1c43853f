//! Images as sources: finds a platform's manifest and config, and brings layer blobs when somebody must see files.
//!
//! Manifests and configs go into the content store at once; layers stay where they are until [`fetch_layers`] is
//! asked for them. Knows two places: registries and OCI layout directories.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use cooper_frontend::graph::{ImageRequest, ImageResolver, ImageSource, ResolveError, ResolvedImage};
use cooper_oci::{Descriptor, Digest, ImageConfig, Index, Manifest, Platform, media};

use crate::error::{BuildError, Kind};
use crate::layout::{Pick, Shelf, Window};
use crate::session::Inner;
use crate::{task, transfer};

/// Manifests and indexes above this size are refused (OCI distribution spec, "Pushing Manifests", asks for 4 MiB).
pub(crate) const MAX_MANIFEST_BYTES: u64 = 4 << 20;
/// Configs above this size are refused.
pub(crate) const MAX_CONFIG_BYTES: u64 = 8 << 20;
/// An index inside an index inside … ends here.
pub(crate) const MAX_INDEX_DEPTH: usize = 3;

/// Where a layer's compressed form can be had.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The image that it belongs to.
    pub source: ImageSource,
    /// The compressed layer.
    pub descriptor: Descriptor,
}

/// Origins of all base layers met in a build, by diff ID.
#[derive(Debug, Clone, Default)]
pub struct Origins(Arc<Mutex<HashMap<Digest, Origin>>>);

impl Origins {
    /// Notes where a layer comes from.
    pub fn insert(&self, diff_id: Digest, origin: Origin) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).entry(diff_id).or_insert(origin);
    }

    /// Where a layer comes from, if it is a base layer.
    pub fn get(&self, diff_id: &Digest) -> Option<Origin> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(diff_id).cloned()
    }
}

/// An image's manifest and config, both in the store.
#[derive(Debug, Clone)]
pub struct LoadedImage {
    /// Descriptor of the platform's manifest.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The config.
    pub config: ImageConfig,
}

impl LoadedImage {
    /// Pairs of diff ID and layer descriptor, base first.
    pub fn layers(&self) -> impl Iterator<Item = (&Digest, &Descriptor)> {
        self.config.rootfs.diff_ids.iter().zip(&self.manifest.layers)
    }
}

/// Loads an image for a platform: from the store if it is there (and `pull` is false), else from its source.
pub async fn load(
    session: &Arc<Inner>,
    source: &ImageSource,
    platform: &Platform,
    pull: bool,
) -> Result<LoadedImage, BuildError> {
    let top = match source {
        ImageSource::OciLayout { path, tag, digest } => {
            let pick = digest.clone().map_or_else(|| Pick::Tag(tag.clone()), Pick::Digest);
            Shelf::directory(path).entry(&pick)?
        }
        ImageSource::Registry(reference) => {
            let name = reference.to_string();
            let known = if pull { None } else { session.store.image(&name)? };
            match known {
                Some(record) => match load_from(session, source, record.target, platform, false).await {
                    Ok(image) => return Ok(image),
                    // Damaged or incomplete: fetch it again.
                    Err(e) if e.kind() != Kind::User => fetch_top(session, reference).await?,
                    Err(e) => return Err(e),
                },
                None => fetch_top(session, reference).await?,
            }
        }
    };
    load_from(session, source, top, platform, true).await
}

/// Loads an image of the store by its descriptor; nothing is fetched.
pub async fn load_stored(
    session: &Arc<Inner>,
    source: &ImageSource,
    target: &Descriptor,
) -> Result<LoadedImage, BuildError> {
    load_from(session, source, target.clone(), &Platform::host(), false).await
}

/// Asks the registry what a reference names now, and keeps the answer.
async fn fetch_top(
    session: &Arc<Inner>,
    reference: &cooper_oci::Reference,
) -> Result<Descriptor, BuildError> {
    let resolved = session
        .client()
        .resolve(reference)
        .await
        .map_err(|e| transfer::remote(format!("failed to resolve source metadata for {reference}"), e))?;
    let store = session.store.clone();
    let bytes = resolved.bytes.clone();
    let descriptor = resolved.descriptor.clone();
    let name = reference.to_string();
    task::blocking("keep manifest", move || {
        store.put_blob(&bytes)?;
        store.tag(&name, descriptor)?;
        Ok(())
    })
    .await?;
    Ok(resolved.descriptor)
}

async fn load_from(
    session: &Arc<Inner>,
    source: &ImageSource,
    top: Descriptor,
    platform: &Platform,
    may_fetch: bool,
) -> Result<LoadedImage, BuildError> {
    let mut descriptor = top;
    for _ in 0..=MAX_INDEX_DEPTH {
        let bytes = small_blob(session, source, &descriptor, MAX_MANIFEST_BYTES, may_fetch).await?;
        if media::is_index(&descriptor.media_type) {
            let index: Index = parse(&bytes, &descriptor)?;
            descriptor = match (index.select(platform), index.manifests.as_slice()) {
                (Some(found), _) => found.clone(),
                // Without platforms there is no choice.
                (None, [only]) if only.platform.is_none() => only.clone(),
                _ => return Err(no_platform(&show(source), &index, platform)),
            };
            continue;
        }
        if !media::is_manifest(&descriptor.media_type) {
            return Err(BuildError::new(
                Kind::Remote,
                format!("{}: cannot use a manifest of type {}", show(source), descriptor.media_type),
            ));
        }
        let manifest: Manifest = parse(&bytes, &descriptor)?;
        let bytes = small_blob(session, source, &manifest.config, MAX_CONFIG_BYTES, may_fetch).await?;
        let config: ImageConfig = parse(&bytes, &manifest.config)?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(BuildError::new(
                Kind::Remote,
                format!(
                    "{}: the manifest has {} layers, but the config names {} diff IDs",
                    show(source),
                    manifest.layers.len(),
                    config.rootfs.diff_ids.len()
                ),
            ));
        }
        return Ok(LoadedImage { descriptor, manifest, config });
    }
    Err(BuildError::new(Kind::Remote, format!("{}: indexes are nested too deeply", show(source))))
}

pub(crate) fn no_platform(source: &str, index: &Index, platform: &Platform) -> BuildError {
    let mut has: Vec<String> = index
        .manifests
        .iter()
        .filter(|m| !m.annotations.contains_key("vnd.docker.reference.type"))
        .filter_map(|m| m.platform.as_ref().map(ToString::to_string))
        .collect();
    has.dedup();
    BuildError::user(format!("{source}: no image for platform {platform}")).hint(format!(
        "it is there for {}",
        if has.is_empty() { "no platform".into() } else { has.join(", ") }
    ))
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(
    bytes: &[u8],
    descriptor: &Descriptor,
) -> Result<T, BuildError> {
    serde_json::from_slice(bytes).map_err(|e| {
        BuildError::new(
            Kind::Remote,
            format!("{} ({}) is malformed", descriptor.digest, descriptor.media_type),
        )
        .caused_by(e)
    })
}

/// A verified small blob (manifest or config), from the store or its source; kept in the store.
async fn small_blob(
    session: &Arc<Inner>,
    source: &ImageSource,
    descriptor: &Descriptor,
    max_bytes: u64,
    may_fetch: bool,
) -> Result<Vec<u8>, BuildError> {
    if descriptor.size > max_bytes {
        return Err(BuildError::new(
            Kind::Remote,
            format!(
                "{}: {} has {} bytes, more than the {max_bytes} allowed",
                show(source),
                descriptor.digest,
                descriptor.size
            ),
        ));
    }
    if let Ok(bytes) = session.store.read_blob_verified(&descriptor.digest, max_bytes) {
        return Ok(bytes);
    }
    let bytes = match source {
        ImageSource::OciLayout { path, .. } => Shelf::directory(path).small(&descriptor.digest, max_bytes)?,
        ImageSource::Registry(_) if !may_fetch => {
            return Err(BuildError::new(
                Kind::Internal,
                format!("{} is not in the store", descriptor.digest),
            ));
        }
        ImageSource::Registry(reference) => {
            let client = session.client();
            let fetched =
                if media::is_index(&descriptor.media_type) || media::is_manifest(&descriptor.media_type) {
                    client.fetch_manifest(reference, &descriptor.digest).await.map(|m| m.bytes.to_vec())
                } else {
                    client.pull_bytes(reference, descriptor).await.map(|b| b.to_vec())
                };
            fetched.map_err(|e| {
                BuildError::new(Kind::Remote, format!("failed to fetch {} of {reference}", descriptor.digest))
                    .caused_by(e)
            })?
        }
    };
    let store = session.store.clone();
    let kept = bytes.clone();
    task::blocking("keep blob", move || Ok(store.put_blob(&kept)?)).await?;
    Ok(bytes)
}

/// Makes sure that the compressed blob of a layer is in the store.
pub async fn fetch_layer(session: &Arc<Inner>, origin: &Origin) -> Result<(), BuildError> {
    fetch_layer_and_tell(session, origin, || ()).await
}

/// As [`fetch_layer`]; tells as soon as its bytes can be read, though they may have to be waited for.
pub async fn fetch_layer_and_tell(
    session: &Arc<Inner>,
    origin: &Origin,
    begun: impl FnOnce() + Send,
) -> Result<(), BuildError> {
    let descriptor = &origin.descriptor;
    let there = || Ok::<_, BuildError>(session.store.has_blob(&descriptor.digest)?.is_some());
    if there()? {
        begun();
        return Ok(());
    }
    let _turn = session.arrivals.blob_turn(&descriptor.digest).await;
    if there()? {
        begun();
        return Ok(());
    }
    match &origin.source {
        ImageSource::OciLayout { path, .. } => {
            let layer = Shelf::directory(path).blob(&descriptor.digest)?;
            import_layer(session, layer, descriptor).await?;
            begun();
            Ok(())
        }
        ImageSource::Registry(reference) => {
            crate::arrivals::pull_blob(session, reference, descriptor, begun).await
        }
    }
}

/// Copies a layer into the store, which verifies it.
pub(crate) async fn import_layer(
    session: &Arc<Inner>,
    layer: Window,
    descriptor: &Descriptor,
) -> Result<(), BuildError> {
    let (store, descriptor) = (session.store.clone(), descriptor.clone());
    task::blocking("import layer", move || {
        let mut writer = store.blob_writer(Some(&descriptor.digest), Some(descriptor.size))?;
        let mut from = std::io::BufReader::with_capacity(1 << 20, layer.reader(0));
        std::io::copy(&mut from, &mut writer).map_err(|e| {
            BuildError::new(Kind::Config, format!("cannot copy {} into the store", descriptor.digest))
                .caused_by(e)
        })?;
        writer.commit()?;
        Ok(())
    })
    .await
}

/// A source as people write it.
pub fn show(source: &ImageSource) -> String {
    match source {
        ImageSource::Registry(reference) => reference.to_string(),
        ImageSource::OciLayout { path, tag, digest } => {
            let tag = tag.as_ref().map(|t| format!(":{t}")).unwrap_or_default();
            let digest = digest.as_ref().map(|d| format!("@{d}")).unwrap_or_default();
            format!("oci-layout://{path}{tag}{digest}")
        }
    }
}

/// The planner's view of all this: blocking, all images of a wave at once.
pub struct Resolver {
    /// The session.
    pub session: Arc<Inner>,
    /// Runtime to wait on.
    pub runtime: tokio::runtime::Handle,
    /// `--pull`.
    pub pull: bool,
    /// Filled as images are found, so that the solver need not look again.
    pub found: Mutex<HashMap<(ImageSource, Digest), LoadedImage>>,
    /// What was said of images that could not be had though the Dockerfile may be right, and whose fault it is.
    pub failed: Mutex<HashMap<String, Kind>>,
}

impl ImageResolver for Resolver {
    fn resolve(&self, requests: &[ImageRequest]) -> Vec<Result<ResolvedImage, ResolveError>> {
        let all = requests.iter().map(|r| load(&self.session, &r.source, &r.platform, self.pull));
        let results = self.runtime.block_on(futures_util::future::join_all(all));
        requests
            .iter()
            .zip(results)
            .map(|(request, result)| match result {
                Ok(image) => {
                    let manifest = image.descriptor.digest.clone();
                    let answer = ResolvedImage { manifest: manifest.clone(), config: image.config.clone() };
                    let mut found = self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    found.insert((request.source.clone(), manifest), image);
                    Ok(answer)
                }
                Err(e) => {
                    let mut message = e.to_string();
                    let mut source = std::error::Error::source(&e);
                    while let Some(cause) = source {
                        let _ = write!(message, ": {cause}");
                        source = cause.source();
                    }
                    if !matches!(e.kind(), Kind::User | Kind::Absent) {
                        let mut failed =
                            self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        failed.insert(message.clone(), e.kind());
                    }
                    Err(ResolveError { message, hint: e.advice().map(str::to_owned) })
                }
            })
            .collect()
    }
}
