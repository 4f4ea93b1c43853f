//! Exporters: what happens with a finished build.

mod archive;
mod clamp;
mod early;
mod engine;
mod feeding;
mod files;
mod push;

pub(crate) use early::{Beginning, EarlyArchive};
pub(crate) use engine::Begun;

use std::sync::Arc;

use cooper_oci::compress::Compression;
use cooper_oci::{Descriptor, Digest, Reference};

use crate::assemble::{self, AssembledImage, Bundle, LayerFormat};
use crate::build::{Built, default_outputs};
use crate::error::{BuildError, Kind};
use crate::event::EventSender;
use crate::forms::Purpose;
use crate::image_source::fetch_layer;
use crate::request::{BuildOutcome, BuildRequest, Output, OutputKind};
use crate::session::Inner;
use crate::{images, task, transfer};
use archive::Form;
use push::Naming;

/// An output whose settings were checked before the build began.
pub struct Checked {
    output: Output,
    names: Vec<Reference>,
    naming: Naming,
    format: LayerFormat,
    annotations: Vec<(String, String)>,
    as_directory: bool,
    rewrite_timestamp: bool,
    platform_split: Option<bool>,
    /// Its archive, which may be begun before there is an image.
    early: Option<EarlyArchive>,
}

impl Checked {
    fn pushes(&self) -> bool {
        match self.output.kind {
            OutputKind::Registry => true,
            OutputKind::Image => self.output.attributes.get("push").is_some_and(|v| v != "false" && v != "0"),
            _ => false,
        }
    }

    /// Whether it goes into an engine.
    fn loads(&self) -> bool {
        self.output.kind == OutputKind::Docker && self.output.dest.is_none()
    }

    /// The form in which an image of the store is pushed.
    fn pushed_format(&self) -> LayerFormat {
        LayerFormat { compression: Compression::Gzip, ..self.format.clone() }
    }

    /// What the layers of the output's own bundle are for.
    fn purpose(&self) -> Purpose {
        match self.output.kind {
            OutputKind::Image => Purpose::Keep,
            OutputKind::Registry => Purpose::Send(self.names.first().cloned()),
            _ => Purpose::Send(None),
        }
    }
}

/// Registries that outputs name as insecure.
pub fn insecure_registries(outputs: &[Checked]) -> Vec<String> {
    let insecure = outputs.iter().filter(|o| o.naming.insecure);
    insecure.flat_map(|o| o.names.iter().map(|name| name.registry.clone())).collect()
}

/// A form in which outputs will want the layers of the target.
#[derive(Debug, Clone)]
pub struct EarlyForm {
    /// The form.
    pub format: LayerFormat,
    /// What for.
    pub purpose: Purpose,
    /// No output needs the files of the target.
    pub suffices: bool,
    /// An engine will load it, uncompressed.
    pub loads: bool,
    /// An archive that consists of such layers.
    pub archive: Option<EarlyArchive>,
}

impl EarlyForm {
    /// Whether it differs from the layer's own tar.
    pub fn is_compressed(&self) -> bool {
        self.format.compression != Compression::None
    }
}

/// The form in which layers will be wanted, so that one can be made as soon as its layer is; `None` if none has to be.
pub fn early_form(outputs: &[Checked]) -> Option<EarlyForm> {
    let archives = |o: &&Checked| matches!(o.output.kind, OutputKind::Oci | OutputKind::Docker);
    let wants = |o: &&Checked| (o.pushes() || archives(o)) && !o.rewrite_timestamp;
    let first = outputs.iter().find(wants)?;
    let purpose = Purpose::Send(first.names.first().filter(|_| first.pushes()).cloned());
    let format = match first.output.kind {
        OutputKind::Image => first.pushed_format(),
        _ => first.format.clone(),
    };
    let suffices = outputs.iter().all(|o| wants(&o) || o.output.kind == OutputKind::CacheOnly);
    let loads = first.loads() && format.compression == Compression::None;
    Some(EarlyForm { format, purpose, suffices, loads, archive: first.early.clone() })
}

/// Checks all outputs: nobody wants to learn after ten minutes that a name was misspelt.
pub fn check(request: &BuildRequest) -> Result<Vec<Checked>, BuildError> {
    default_outputs(request).into_iter().map(|output| check_one(output, &request.tags)).collect()
}

fn check_one(output: Output, tags: &[String]) -> Result<Checked, BuildError> {
    let kind = output.kind;
    let image_like =
        matches!(kind, OutputKind::Image | OutputKind::Registry | OutputKind::Oci | OutputKind::Docker);
    let mut format = match kind {
        OutputKind::Image => LayerFormat::STORE,
        OutputKind::Docker => LayerFormat { force: false, ..LayerFormat::STORE },
        _ => LayerFormat::GZIP,
    };
    let mut naming = Naming::default();
    let mut annotations = Vec::new();
    let mut as_directory = false;
    let mut rewrite_timestamp = false;
    let mut platform_split = None;
    for (key, value) in &output.attributes {
        let flag = || match value.as_str() {
            "true" | "1" | "" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(BuildError::user(format!("--output: {key} must be true or false, not {value}"))),
        };
        match key.as_str() {
            "compression" if image_like => {
                format.compression = match value.as_str() {
                    "gzip" => Compression::Gzip,
                    "zstd" => Compression::Zstd,
                    "uncompressed" => Compression::None,
                    other => {
                        return Err(BuildError::user(format!(
                            "--output: compression={other} is not supported"
                        ))
                        .hint("gzip, zstd and uncompressed are"));
                    }
                }
            }
            "compression-level" if image_like => {
                format.level = Some(value.parse().map_err(|_| {
                    BuildError::user(format!("--output: compression-level must be a number, not {value}"))
                })?);
            }
            "force-compression" if image_like => format.force = flag()?,
            "oci-mediatypes" if image_like => format.oci_types = flag()?,
            "tar" if matches!(kind, OutputKind::Oci | OutputKind::Docker) => as_directory = !flag()?,
            "rewrite-timestamp" if image_like => rewrite_timestamp = flag()?,
            "platform-split" if kind == OutputKind::Local => platform_split = Some(flag()?),
            "push" if kind == OutputKind::Image => {}
            _ if image_like && key.starts_with("annotation.") => {
                annotations.push((key["annotation.".len()..].to_string(), value.clone()));
            }
            "push-by-digest" | "name-canonical" | "registry.insecure" if naming.take(kind, key, flag()?) => {}
            _ => return Err(BuildError::user(format!("--output: {key} is not supported for this type"))),
        }
    }
    let names = naming.names(tags, &output)?;
    if kind == OutputKind::Registry && names.is_empty() {
        return Err(BuildError::user("tag is needed when pushing to registry").hint("give one with -t"));
    }
    if kind == OutputKind::Local && output.dest.is_none() {
        return Err(BuildError::user("dest is required for local exporter"));
    }
    if as_directory && output.dest.is_none() {
        return Err(BuildError::user("dest is required when tar=false"));
    }
    let path = output.dest.clone().filter(|dest| dest.as_os_str() != "-");
    let early = path.filter(|_| kind == OutputKind::Oci && !as_directory && !rewrite_timestamp);
    Ok(Checked {
        early: early.map(EarlyArchive::new),
        output,
        names,
        naming,
        format,
        annotations,
        as_directory,
        rewrite_timestamp,
        platform_split,
    })
}

/// Runs all outputs.
pub async fn run(
    session: &Arc<Inner>,
    request: &BuildRequest,
    outputs: &[Checked],
    built: &[Built],
    events: &EventSender,
) -> Result<BuildOutcome, BuildError> {
    let as_index = built.len() > 1
        || request
            .build_args
            .iter()
            .any(|(n, v)| n == "BUILDKIT_MULTI_PLATFORM" && (v == "1" || v == "true"));
    let mut outcome =
        BuildOutcome { config_digest: config_digest(built)?, descriptor: None, names: request.tags.clone() };
    for output in outputs {
        let rewritten =
            if output.rewrite_timestamp { Some(clamp::clamp(session, built, events).await?) } else { None };
        let built = rewritten.as_deref().unwrap_or(built);
        if let Some(descriptor) = Box::pin(run_one(session, output, built, as_index, events)).await? {
            outcome.names = output.naming.told(&output.names, &descriptor.digest);
            outcome.descriptor = Some(descriptor);
            outcome.config_digest = config_digest(built)?;
        }
    }
    Ok(outcome)
}

/// The image ID: of several platforms that of the first.
fn config_digest(built: &[Built]) -> Result<Digest, BuildError> {
    let first = built.first().ok_or_else(|| BuildError::new(Kind::Internal, "nothing was built"))?;
    Ok(Digest::sha256_of(&assemble::config_bytes(&first.config)?))
}

async fn run_one(
    session: &Arc<Inner>,
    checked: &Checked,
    built: &[Built],
    as_index: bool,
    events: &EventSender,
) -> Result<Option<Descriptor>, BuildError> {
    let dest = checked.output.dest.clone();
    let kind = checked.output.kind;
    if !checked.loads() {
        session.forms.settle().await?;
    }
    match kind {
        OutputKind::CacheOnly => return Ok(None),
        OutputKind::Local | OutputKind::Tar => {
            let split = checked.platform_split.unwrap_or(as_index);
            files::export(session, built, kind, dest, split).await?;
            return Ok(None);
        }
        OutputKind::Docker if as_index => {
            return Err(BuildError::user(
                "docker exporter does not currently support exporting manifest lists",
            )
            .hint("use type=oci, or build one platform"));
        }
        _ => {}
    }
    let purpose = checked.purpose();
    let bundle = bundle(session, built, as_index, &checked.format, &purpose, &checked.annotations).await?;
    match kind {
        OutputKind::Image => {
            images::keep(session, &bundle, &|digest| checked.naming.kept(&checked.names, digest)).await?;
            if checked.pushes() {
                let format = checked.pushed_format();
                let purpose = Purpose::Send(checked.names.first().cloned());
                let pushed =
                    self::bundle(session, built, as_index, &format, &purpose, &checked.annotations).await?;
                transfer::push_bundle(session, &pushed, &checked.names, events).await?;
                return Ok(Some(pushed.descriptor));
            }
        }
        OutputKind::Registry => transfer::push_bundle(session, &bundle, &checked.names, events).await?,
        OutputKind::Oci | OutputKind::Docker => {
            let docker = kind == OutputKind::Docker;
            let form = if docker { Form::Docker { known: 0, sent: None } } else { Form::Oci };
            let dest_is_stdout = dest.as_deref() == Some(std::path::Path::new("-"));
            let target = match (dest.filter(|_| !dest_is_stdout), checked.as_directory) {
                (Some(dest), true) => archive::Target::Directory(dest),
                (Some(dest), false) => archive::Target::File(dest),
                (None, _) if checked.loads() => {
                    let descriptor = archive::dated(&bundle);
                    engine::load(session, bundle, &checked.names).await?;
                    return Ok(Some(descriptor));
                }
                (None, _) => archive::Target::Stdout,
            };
            for image in &bundle.images {
                fetch_all(session, image).await?;
            }
            let (session, names, descriptor) =
                (session.clone(), checked.names.clone(), archive::dated(&bundle));
            let early = checked.early.clone();
            task::blocking("write archive", move || {
                if early.is_some_and(|early| early.finish(&bundle, &names)) {
                    return Ok(());
                }
                archive::write(&session, &bundle, &names, &form, &target)
            })
            .await?;
            return Ok(Some(descriptor));
        }
        OutputKind::Local | OutputKind::Tar | OutputKind::CacheOnly => {}
    }
    Ok(Some(bundle.descriptor))
}

/// Assembles the image of each platform, and an index over them if there is more than one or it is wanted.
async fn bundle(
    session: &Arc<Inner>,
    built: &[Built],
    as_index: bool,
    format: &LayerFormat,
    purpose: &Purpose,
    annotations: &[(String, String)],
) -> Result<Bundle, BuildError> {
    let images = futures_util::future::try_join_all(built.iter().map(|one| {
        assemble::assemble(session, &one.config, &one.rootfs, &one.origins, format, purpose, annotations)
    }))
    .await?;
    Bundle::new(images, as_index, format.oci_types)
}

/// Brings all layers whose bytes an archive needs.
async fn fetch_all(session: &Arc<Inner>, image: &AssembledImage) -> Result<(), BuildError> {
    let (mut origins, mut made) = (Vec::new(), Vec::new());
    for (diff_id, descriptor) in &image.layers {
        match image.origins.get(diff_id).filter(|o| o.descriptor.digest == descriptor.digest) {
            Some(origin) => origins.push(origin),
            // Uncompressed bytes come from the snapshot.
            None if descriptor.digest == *diff_id => {}
            None => made.push((diff_id, descriptor)),
        }
    }
    futures_util::future::try_join_all(origins.iter().map(|o| fetch_layer(session, o))).await?;
    let made = made.into_iter().map(|(diff_id, d)| transfer::bring_form(session, image, diff_id, d, None));
    futures_util::future::try_join_all(made).await?;
    Ok(())
}
