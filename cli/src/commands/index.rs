//! `cooper index`: indexes of images in registries, as `docker buildx imagetools` makes them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};
use cooper_oci::{Index, Platform, Reference};
use serde_json::json;

use super::copy::descriptor;
use crate::backend::distribution::{
    Annotation, AnnotationPlace, Document, ImageName, Images, IndexRequest, IndexSource, Watch,
};
use crate::failure::Failure;
use crate::flags::registry::{Names, RegistryFlags, platform, remote};
use crate::flags::units::truth;
use crate::progress::{text, watched};
use crate::ui;

/// The largest file with a source that is read.
const MAX_SOURCE_BYTES: u64 = 1 << 20;

/// Flags of `index`.
#[derive(Debug, Args)]
pub struct IndexArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an index of images, or give one more names
    Create(CreateArgs),
    /// Show what an index holds
    Inspect(InspectArgs),
    /// Change annotations of an index and of its entries
    Annotate(AnnotateArgs),
}

/// Flags of `index create`.
#[derive(Debug, Args)]
struct CreateArgs {
    /// Images and indexes (what one of them holds goes in): a name, or a digest or a descriptor in JSON where all
    /// names are of one repository
    #[arg(required_unless_present = "files", value_name = "SOURCE", value_parser = source)]
    sources: Vec<Source>,
    /// File with such a source
    #[arg(short, long = "file", value_name = "FILE", value_parser = source_file)]
    files: Vec<Source>,
    /// Name of the index
    #[arg(short, long = "tag", value_name = "NAME", value_parser = remote, required_unless_present = "dry_run")]
    tags: Vec<ImageName>,
    /// Keep what is in the index of the first name
    #[arg(long, requires = "tags")]
    append: bool,
    /// Annotation: [TYPE:]KEY=VALUE, TYPE being index, manifest-descriptor or manifest-descriptor[OS/ARCH]
    #[arg(long = "annotation", value_name = "ANNOTATION", value_parser = annotation)]
    annotations: Vec<Annotation>,
    /// Only images for this platform
    #[arg(short, long = "platform", value_name = "PLATFORM", value_parser = platform, value_delimiter = ',')]
    platforms: Vec<Platform>,
    /// Of one single image make an index, too; false gives the image itself the names
    #[arg(long, value_name = "BOOL", value_parser = truth, default_value = "true", default_missing_value = "true",
          num_args = 0..=1, require_equals = true, hide_possible_values = true, action = ArgAction::Set)]
    prefer_index: bool,
    /// Write what was made to this file, as JSON
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Print the index, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print only the digest
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

/// Flags of `index inspect`.
#[derive(Debug, Args)]
struct InspectArgs {
    /// Index
    #[arg(value_parser = remote)]
    name: ImageName,
    /// Print the index itself, byte by byte
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

/// Flags of `index annotate`.
#[derive(Debug, Args)]
struct AnnotateArgs {
    /// Index
    #[arg(value_parser = remote)]
    name: ImageName,
    /// Annotation: [TYPE:]KEY=VALUE, TYPE being index, manifest-descriptor or manifest-descriptor[OS/ARCH]; without
    /// VALUE it is taken away
    #[arg(long = "annotation", value_name = "ANNOTATION", required = true, value_parser = annotation)]
    annotations: Vec<Annotation>,
    /// Leave the index as it is: give the changed one this tag
    #[arg(short, long)]
    tag: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

impl Names for IndexArgs {
    fn names(&self) -> Vec<&ImageName> {
        match &self.command {
            Command::Create(args) => {
                let sources = args.files.iter().chain(&args.sources);
                sources.filter_map(|source| source.name.as_ref()).chain(&args.tags).collect()
            }
            Command::Inspect(args) => vec![&args.name],
            Command::Annotate(args) => vec![&args.name],
        }
    }

    fn flags(&self) -> &RegistryFlags {
        match &self.command {
            Command::Create(args) => &args.registry,
            Command::Inspect(args) => &args.registry,
            Command::Annotate(args) => &args.registry,
        }
    }
}

/// A source; of a name both forms.
#[derive(Debug, Clone)]
struct Source {
    name: Option<ImageName>,
    source: IndexSource,
}

/// For clap: a source of an index.
fn source(text: &str) -> Result<Source, String> {
    let source: IndexSource = text.parse()?;
    let name = match &source {
        IndexSource::Name(name) => Some(ImageName::Registry(name.clone())),
        _ => None,
    };
    Ok(Source { name, source })
}

/// For clap: a file with a source.
fn source_file(path: &str) -> Result<Source, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|e| e.to_string())?;
    file.take(MAX_SOURCE_BYTES).read_to_string(&mut text).map_err(|e| e.to_string())?;
    source(&text)
}

/// For clap: an annotation with its place.
fn annotation(text: &str) -> Result<Annotation, String> {
    let (left, value) = text.split_once('=').ok_or("it must be KEY=VALUE")?;
    // A key may have colons itself.
    let (kind, key) = match left.split_once(':') {
        Some((kind, key)) if is_place(kind) => (kind, key),
        _ => ("index", left),
    };
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    let (name, of) = match kind.strip_suffix(']').and_then(|k| k.split_once('[')) {
        Some((name, of)) => (name, Some(platform(of)?)),
        None => (kind, None),
    };
    let place = match (name, of) {
        ("index", None) => AnnotationPlace::Index,
        ("manifest-descriptor", of) => AnnotationPlace::Descriptors(of),
        _ => return Err(format!("an index cannot change annotations of type {kind}")),
    };
    Ok(Annotation { place, key: key.to_owned(), value: value.to_owned() })
}

fn is_place(kind: &str) -> bool {
    let name = kind.split_once('[').map_or(kind, |(name, _)| name);
    ["index", "manifest", "index-descriptor", "manifest-descriptor"].contains(&name)
}

/// Runs `cooper index`.
pub async fn run(args: &IndexArgs, images: Images) -> Result<(), Failure> {
    match &args.command {
        Command::Create(args) => create(args, images).await,
        Command::Inspect(args) => inspect(args, images).await,
        Command::Annotate(args) => annotate(args, images).await,
    }
}

async fn create(args: &CreateArgs, images: Images) -> Result<(), Failure> {
    let references = |names: &[ImageName]| names.iter().filter_map(ImageName::registry).cloned().collect();
    let request = IndexRequest {
        names: references(&args.tags),
        sources: args.files.iter().chain(&args.sources).map(|s| s.source.clone()).collect(),
        keep_single: !args.prefer_index,
        append: args.append,
        platforms: args.platforms.clone(),
        annotations: args.annotations.clone(),
    };
    let index = Box::pin(images.plan_index(&request)).await?;
    if args.dry_run {
        return ui::write(&index.bytes);
    }
    let names: Vec<String> = request.names.iter().map(ToString::to_string).collect();
    watched(args.quiet, async |events| {
        let watch = Watch::new(events, format!("create {}", names.join(", ")));
        let done = Box::pin(images.watched_by(&watch).create_index(&request, &index)).await;
        watch.end(&done);
        Ok(done?)
    })
    .await?;
    if let Some(path) = &args.metadata_file {
        let repositories: BTreeSet<String> = request.names.iter().map(Reference::name).collect();
        let repositories: Vec<String> = repositories.into_iter().collect();
        let value = json!({
            "containerimage.descriptor": descriptor(&index.descriptor),
            "image.name": repositories.join(","),
        });
        let written = std::fs::write(path, format!("{value:#}\n"));
        written.map_err(|e| Failure::io("cannot write", path, &e))?;
    }
    if args.json {
        let value = json!({
            "names": names, "mediaType": index.descriptor.media_type,
            "digest": index.descriptor.digest.as_str(), "size": index.descriptor.size,
        });
        return ui::json(&value);
    }
    ui::print(&format!("{}\n", index.descriptor.digest))
}

async fn inspect(args: &InspectArgs, images: Images) -> Result<(), Failure> {
    let Some(reference) = args.name.registry() else { return Ok(()) };
    let (document, index) = images.index(reference).await?;
    if args.raw {
        return ui::write(&document.bytes);
    }
    if args.json {
        let value = json!({
            "name": reference.to_string(),
            "mediaType": document.descriptor.media_type,
            "digest": document.descriptor.digest.as_str(),
            "size": document.descriptor.size,
            "artifactType": index.artifact_type,
            "annotations": index.annotations,
            "manifests": index.manifests.iter().map(descriptor).collect::<Vec<_>>(),
        });
        return ui::json(&value);
    }
    ui::print(&as_text(&reference.to_string(), &document, &index))
}

fn as_text(name: &str, document: &Document, index: &Index) -> String {
    let mut out = String::new();
    let clean = |text: &str| text::clean(text.as_bytes(), text::Colour::Strip);
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(out, "{:<12}{}", format!("{key}:"), clean(value));
    };
    line("Name", name);
    line("MediaType", &document.descriptor.media_type);
    line("Digest", document.descriptor.digest.as_str());
    for (key, value) in &index.annotations {
        line("Annotation", &format!("{key}={value}"));
    }
    let mut rows = vec![["PLATFORM", "DIGEST", "SIZE", "NOTES"].map(str::to_owned).to_vec()];
    for entry in &index.manifests {
        let mut notes: Vec<String> = entry.artifact_type.iter().cloned().collect();
        notes.extend(entry.annotations.iter().map(|(key, value)| format!("{key}={value}")));
        rows.push(vec![
            entry.platform.as_ref().map_or_else(|| "-".to_owned(), |p| clean(&p.to_string())),
            entry.digest.to_string(),
            text::size(entry.size),
            clean(&notes.join(" ")),
        ]);
    }
    out.push('\n');
    out + &ui::table(&rows)
}

async fn annotate(args: &AnnotateArgs, images: Images) -> Result<(), Failure> {
    let Some(reference) = args.name.registry() else { return Ok(()) };
    if let Some(tag) = args.tag.as_ref().filter(|tag| !cooper_oci::Reference::is_tag(tag)) {
        return Err(Failure::usage(format!("--tag {tag:?} is no tag")));
    }
    let made = images.annotate_index(reference, &args.annotations, args.tag.as_deref()).await?;
    if args.json {
        let name = args.tag.as_ref().map_or_else(|| reference.clone(), |tag| reference.with_tag(tag));
        let value = json!({
            "name": name.to_string(), "mediaType": made.media_type,
            "digest": made.digest.as_str(), "size": made.size,
        });
        return ui::json(&value);
    }
    ui::print(&format!("{}\n", made.digest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn annotations_say_where_they_go() {
        let arm = "linux/arm64".parse().unwrap();
        let table = [
            ("a=b", AnnotationPlace::Index, "a", "b"),
            ("index:a=b=c", AnnotationPlace::Index, "a", "b=c"),
            ("manifest-descriptor:a=", AnnotationPlace::Descriptors(None), "a", ""),
            ("manifest-descriptor[linux/arm64]:a.b=c", AnnotationPlace::Descriptors(Some(arm)), "a.b", "c"),
            ("x:y=z", AnnotationPlace::Index, "x:y", "z"),
        ];
        for (text, place, key, value) in table {
            let want = Annotation { place, key: key.to_owned(), value: value.to_owned() };
            assert_eq!(annotation(text).unwrap(), want, "{text}");
        }
        for text in ["a", "=b", "manifest:a=b", "index[linux/arm64]:a=b", "manifest-descriptor[x y]:a=b"] {
            assert!(annotation(text).is_err(), "{text}");
        }
    }
}
