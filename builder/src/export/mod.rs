//! Exporters: what happens with a finished build.

mod archive;
mod engine;
mod files;

use std::sync::Arc;

use cooper_oci::compress::Compression;
use cooper_oci::{Descriptor, Digest, Reference};

use crate::assemble::{self, AssembledImage, LayerFormat};
use crate::build::{Built, default_outputs};
use crate::error::{BuildError, Kind};
use crate::event::EventSender;
use crate::image_source::fetch_layer;
use crate::request::{BuildOutcome, BuildRequest, Output, OutputKind};
use crate::session::Inner;
use crate::{images, task, transfer};

/// An output whose settings were checked before the build began.
pub struct Checked {
    output: Output,
    names: Vec<Reference>,
    format: LayerFormat,
    annotations: Vec<(String, String)>,
    as_directory: bool,
}

/// Checks all outputs: nobody wants to learn after ten minutes that a name was misspelt.
pub fn check(request: &BuildRequest) -> Result<Vec<Checked>, BuildError> {
    let mut tags = Vec::new();
    for tag in &request.tags {
        tags.push(reference(tag)?);
    }
    default_outputs(request).into_iter().map(|output| check_one(output, &tags)).collect()
}

fn reference(name: &str) -> Result<Reference, BuildError> {
    let reference: Reference =
        name.parse().map_err(|e| BuildError::user(format!("invalid tag \"{name}\": {e}")))?;
    if reference.digest.is_some() {
        return Err(BuildError::user(format!("invalid tag \"{name}\": a tag cannot have a digest")));
    }
    let tag = reference.tag_or_latest().unwrap_or("latest").to_string();
    Ok(reference.with_tag(tag))
}

fn check_one(output: Output, tags: &[Reference]) -> Result<Checked, BuildError> {
    let mut names = tags.to_vec();
    for name in &output.names {
        let name = reference(name)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let kind = output.kind;
    let image_like =
        matches!(kind, OutputKind::Image | OutputKind::Registry | OutputKind::Oci | OutputKind::Docker);
    let mut format = match kind {
        OutputKind::Image => LayerFormat::STORE,
        OutputKind::Docker => LayerFormat { force: false, ..LayerFormat::STORE },
        _ => LayerFormat::GZIP,
    };
    let mut annotations = Vec::new();
    let mut as_directory = false;
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
                        return Err(BuildError::user(format!("--output: compression={other} is not supported"))
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
            "push" if kind == OutputKind::Image => {}
            _ if image_like && key.starts_with("annotation.") => {
                annotations.push((key["annotation.".len()..].to_string(), value.clone()));
            }
            _ => return Err(BuildError::user(format!("--output: {key} is not supported for this type"))),
        }
    }
    if kind == OutputKind::Registry && names.is_empty() {
        return Err(BuildError::user("tag is needed when pushing to registry").hint("give one with -t"));
    }
    if kind == OutputKind::Local && output.dest.is_none() {
        return Err(BuildError::user("dest is required for local exporter"));
    }
    if as_directory && output.dest.is_none() {
        return Err(BuildError::user("dest is required when tar=false"));
    }
    Ok(Checked { output, names, format, annotations, as_directory })
}

/// Runs all outputs.
pub async fn run(
    session: &Arc<Inner>,
    request: &BuildRequest,
    outputs: &[Checked],
    built: &[&Built],
    events: &EventSender,
) -> Result<BuildOutcome, BuildError> {
    let [one] = built else {
        return Err(BuildError::new(Kind::Internal, "exporting needs exactly one platform"));
    };
    let config_digest = Digest::sha256_of(&assemble::config_bytes(&one.config)?);
    let mut outcome = BuildOutcome {
        config_digest,
        descriptor: None,
        names: request.tags.clone(),
    };
    for output in outputs {
        if let Some(descriptor) = run_one(session, output, one, events).await? {
            outcome.descriptor = Some(descriptor);
            outcome.names = output.names.iter().map(ToString::to_string).collect();
        }
    }
    Ok(outcome)
}

async fn run_one(
    session: &Arc<Inner>,
    checked: &Checked,
    built: &Built,
    events: &EventSender,
) -> Result<Option<Descriptor>, BuildError> {
    let dest = checked.output.dest.clone();
    match checked.output.kind {
        OutputKind::CacheOnly => return Ok(None),
        OutputKind::Local | OutputKind::Tar => {
            files::export(session, built, checked.output.kind, dest).await?;
            return Ok(None);
        }
        _ => {}
    }
    let image = assemble::assemble(
        session,
        &built.config,
        &built.rootfs,
        &built.origins,
        &checked.format,
        &checked.annotations,
    )
    .await?;
    match checked.output.kind {
        OutputKind::Image => {
            images::keep(session, &image, &checked.names).await?;
            if checked.output.attributes.get("push").is_some_and(|v| v != "false" && v != "0") {
                let pushed = assemble::assemble(
                    session,
                    &built.config,
                    &built.rootfs,
                    &built.origins,
                    &LayerFormat { compression: Compression::Gzip, ..checked.format.clone() },
                    &checked.annotations,
                )
                .await?;
                transfer::push_image(session, &pushed, &checked.names, events).await?;
                return Ok(Some(pushed.descriptor));
            }
        }
        OutputKind::Registry => transfer::push_image(session, &image, &checked.names, events).await?,
        OutputKind::Oci | OutputKind::Docker => {
            fetch_all(session, &image).await?;
            let docker = checked.output.kind == OutputKind::Docker;
            let target = match (dest, checked.as_directory) {
                (Some(dest), true) => archive::Target::Directory(dest),
                (Some(dest), false) => archive::Target::File(dest),
                (None, _) if docker => {
                    engine::load(session, &image, &checked.names).await?;
                    return Ok(Some(image.descriptor));
                }
                (None, _) => archive::Target::Stdout,
            };
            let (session, names, descriptor) = (session.clone(), checked.names.clone(), image.descriptor.clone());
            task::blocking("write archive", move || archive::write(&session, &image, &names, docker, &target)).await?;
            return Ok(Some(descriptor));
        }
        OutputKind::Local | OutputKind::Tar | OutputKind::CacheOnly => {}
    }
    Ok(Some(image.descriptor))
}

/// Brings all base layers whose bytes an archive needs.
async fn fetch_all(session: &Arc<Inner>, image: &AssembledImage) -> Result<(), BuildError> {
    let wanted = image.layers.iter().filter_map(|(diff_id, descriptor)| {
        image.origins.get(diff_id).filter(|o| o.descriptor.digest == descriptor.digest)
    });
    let origins: Vec<_> = wanted.collect();
    futures_util::future::try_join_all(origins.iter().map(|o| fetch_layer(session, o))).await?;
    Ok(())
}
