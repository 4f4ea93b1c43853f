//! `cooper artifact`: files in registries, as oras keeps them.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use cooper_oci::Platform;
use serde_json::{Value, json};

use super::copy::descriptor;
use crate::backend::distribution::{Artifact, ArtifactFile, ImageName, Images, Watch};
use crate::failure::Failure;
use crate::flags::registry::{Names, RegistryFlags, platform, remote};
use crate::progress::watched;
use crate::ui;

/// Flags of `artifact`.
#[derive(Debug, Args)]
pub struct ArtifactArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Push files and directories as an artifact
    Push(PushArgs),
    /// Write the files of an artifact into a directory
    Pull(PullArgs),
}

/// Flags of `artifact push`.
#[derive(Debug, Args)]
struct PushArgs {
    /// Name; with --subject it needs no tag
    #[arg(value_parser = remote)]
    name: ImageName,
    /// Files and directories, with their media types if wanted: FILE[:TYPE]
    #[arg(value_name = "FILE", value_parser = file)]
    files: Vec<ArtifactFile>,
    /// What it is, such as application/spdx+json
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    artifact_type: Option<String>,
    /// Image of the same repository that it is about
    #[arg(long, value_name = "IMAGE", value_parser = remote)]
    subject: Option<ImageName>,
    /// File to use as the config: FILE[:TYPE]
    #[arg(long, value_name = "FILE", value_parser = file)]
    config: Option<ArtifactFile>,
    /// Annotation of the manifest
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = pair)]
    annotations: Vec<(String, String)>,
    /// Print only the digest
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

/// Flags of `artifact pull`.
#[derive(Debug, Args)]
struct PullArgs {
    /// Artifact
    #[arg(value_parser = remote)]
    name: ImageName,
    /// Directory for the files; files of the same names are replaced, directories are kept
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Platform, where the name is an index [default: this machine's]
    #[arg(long, value_parser = platform)]
    platform: Option<Platform>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

impl Names for ArtifactArgs {
    fn names(&self) -> Vec<&ImageName> {
        match &self.command {
            Command::Push(args) => std::iter::once(&args.name).chain(&args.subject).collect(),
            Command::Pull(args) => vec![&args.name],
        }
    }

    fn flags(&self) -> &RegistryFlags {
        match &self.command {
            Command::Push(args) => &args.registry,
            Command::Pull(args) => &args.registry,
        }
    }
}

/// For clap: `FILE[:TYPE]`. Media types have a slash; a file of the whole name comes first.
#[expect(clippy::unnecessary_wraps, reason = "clap wants a result")]
fn file(text: &str) -> Result<ArtifactFile, String> {
    let split = text.rsplit_once(':').filter(|(_, kind)| media_type(kind).is_ok());
    Ok(match split {
        Some((path, kind)) if !path.is_empty() && !Path::new(text).exists() => {
            ArtifactFile { path: path.into(), media_type: Some(kind.to_owned()) }
        }
        _ => ArtifactFile { path: text.into(), media_type: None },
    })
}

/// For clap: a media type (RFC 6838).
fn media_type(text: &str) -> Result<String, String> {
    let ok = |part: &str| {
        !part.is_empty()
            && part.len() < 128
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    match text.split_once('/') {
        Some((a, b)) if ok(a) && ok(b) => Ok(text.to_owned()),
        _ => Err("a media type looks like application/spdx+json".to_owned()),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it must be KEY=VALUE".to_owned()),
    }
}

/// Runs `cooper artifact`.
pub async fn run(args: &ArtifactArgs, images: Images) -> Result<(), Failure> {
    match &args.command {
        Command::Push(args) => push(args, images).await,
        Command::Pull(args) => pull(args, images).await,
    }
}

async fn push(args: &PushArgs, images: Images) -> Result<(), Failure> {
    let Some(name) = args.name.registry() else { return Ok(()) };
    if args.files.is_empty() && args.config.is_none() && args.subject.is_none() {
        return Err(Failure::usage("an artifact needs files"));
    }
    if name.digest.is_some() {
        return Err(Failure::usage(format!("{name}: what is pushed gets its own digest")));
    }
    let artifact = Artifact {
        artifact_type: args.artifact_type.clone(),
        files: args.files.clone(),
        config: args.config.clone(),
        annotations: args.annotations.iter().cloned().collect(),
        subject: args.subject.as_ref().and_then(ImageName::registry).cloned(),
    };
    let (made, manifest) = watched(args.quiet, async |events| {
        let watch = Watch::new(events, format!("push {name}"));
        let done = Box::pin(images.watched_by(&watch).push_artifact(name, &artifact)).await;
        watch.end(&done);
        Ok(done?)
    })
    .await?;
    if args.json {
        let value = json!({
            "name": name.to_string(),
            "mediaType": made.media_type,
            "digest": made.digest.as_str(),
            "size": made.size,
            "artifactType": manifest.artifact_type,
            "layers": manifest.layers.iter().map(descriptor).collect::<Vec<_>>(),
        });
        return ui::json(&value);
    }
    ui::print(&format!("{}\n", made.digest))
}

async fn pull(args: &PullArgs, images: Images) -> Result<(), Failure> {
    let (from, files) = watched(args.quiet, async |events| {
        let watch = Watch::new(events, format!("pull {}", args.name));
        let images = images.watched_by(&watch);
        let done = Box::pin(images.pull_artifact(&args.name, args.platform.as_ref(), &args.output)).await;
        watch.end(&done);
        Ok(done?)
    })
    .await?;
    if args.json {
        let entry = |f: &crate::backend::distribution::PulledFile| -> Value {
            json!({ "path": f.path, "directory": f.directory, "descriptor": descriptor(&f.descriptor) })
        };
        let files: Vec<Value> = files.iter().map(entry).collect();
        let value = json!({ "name": args.name.to_string(), "digest": from.digest.as_str(), "files": files });
        return ui::json(&value);
    }
    let paths: Vec<String> = files.iter().map(|f| f.path.display().to_string()).collect();
    ui::lines(&paths)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn files_may_say_what_they_are() {
        let table = [
            ("a.txt", "a.txt", None),
            ("a.txt:text/plain", "a.txt", Some("text/plain")),
            ("dir:x/a.json:application/vnd.a+json", "dir:x/a.json", Some("application/vnd.a+json")),
            ("a:b", "a:b", None),
            (":text/plain", ":text/plain", None),
            ("a:text/", "a:text/", None),
        ];
        for (text, path, kind) in table {
            let want = ArtifactFile { path: path.into(), media_type: kind.map(str::to_owned) };
            assert_eq!(file(text).unwrap(), want, "{text}");
        }
    }
}
