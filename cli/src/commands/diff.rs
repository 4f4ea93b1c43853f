//! `cooper diff`: what two images differ in.

use std::fmt::Write as _;

use clap::Args;
use cooper_oci::Platform;
use cooper_oci::tar::EntryKind;
use serde_json::{Value, json};

use crate::backend::distribution::{
    ConfigChange, Difference, FileChange, ImageName, Images, Node, Side, SideLayer, Watch,
};
use crate::failure::{Failure, Kind};
use crate::flags::registry::{Names, RegistryFlags, platform};
use crate::progress::{text, watched};
use crate::ui;

/// Flags of `diff`. Files of the same content that differ in their times only are counted, not listed.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The first image: NAME (in a registry), store://NAME, oci-layout://DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]
    before: ImageName,
    /// The second image
    after: ImageName,
    /// Platform, such as linux/arm64 [default: this machine's]
    #[arg(long, value_parser = platform)]
    platform: Option<Platform>,
    /// Compare configs and layers only: nothing large is read
    #[arg(long)]
    no_files: bool,
    /// List files that differ in their times only, too
    #[arg(long, conflicts_with = "no_files")]
    times: bool,
    /// Exit with 1 if the images differ
    #[arg(long)]
    exit_code: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

impl Names for DiffArgs {
    fn names(&self) -> Vec<&ImageName> {
        vec![&self.before, &self.after]
    }

    fn flags(&self) -> &RegistryFlags {
        &self.registry
    }
}

/// Runs `cooper diff`.
pub async fn run(args: &DiffArgs, images: Images) -> Result<(), Failure> {
    let difference = watched(args.quiet, async |events| {
        let watch = Watch::new(events, format!("compare {} and {}", args.before, args.after));
        let images = images.watched_by(&watch);
        let work = images.diff(&args.before, &args.after, args.platform.as_ref(), !args.no_files);
        let done = Box::pin(work).await;
        watch.end(&done);
        Ok(done?)
    })
    .await?;
    if args.json {
        ui::json(&as_json(&difference, args.times))?;
    } else {
        ui::print(&as_text(&difference, args.times))?;
    }
    if args.exit_code && !difference.is_empty() {
        return Err(Failure::silent(Kind::User));
    }
    Ok(())
}

fn listed(difference: &Difference, times: bool) -> impl Iterator<Item = &FileChange> {
    difference.files.iter().flatten().filter(move |f| times || !f.is_time_only())
}

fn size(side: &Side) -> u64 {
    side.layers.iter().map(|l| l.size_bytes).sum()
}

fn as_text(difference: &Difference, times: bool) -> String {
    let mut out = String::new();
    let (before, after) = (&difference.before, &difference.after);
    for (sign, side) in [("---", before), ("+++", after)] {
        let _ = writeln!(
            out,
            "{sign} {}  {}  {}  {}",
            side.name,
            side.digest,
            side.platform,
            text::size(size(side))
        );
    }
    if !difference.config.is_empty() {
        out.push_str("\nconfig\n");
        difference.config.iter().for_each(|change| config_line(&mut out, change));
    }
    if before.layers.iter().chain(&after.layers).any(|l| !l.shared) {
        let shared = after.layers.iter().filter(|l| l.shared).count();
        let _ = writeln!(out, "\nlayers ({shared} in both)");
        for (sign, side) in [('-', before), ('+', after)] {
            side.layers.iter().filter(|l| !l.shared).for_each(|layer| layer_line(&mut out, sign, layer));
        }
    }
    if let Some(files) = &difference.files {
        let only_times = files.iter().filter(|f| f.is_time_only()).count();
        if listed(difference, times).next().is_some() {
            out.push_str("\nfiles\n");
            listed(difference, times).for_each(|file| file_line(&mut out, file));
        }
        if only_times > 0 && !times {
            let _ = writeln!(out, "\n{only_times} more differ in their times only (--times lists them)");
        }
    }
    if difference.is_empty() {
        out.push_str("\nno difference\n");
    }
    out
}

fn config_line(out: &mut String, change: &ConfigChange) {
    for (sign, value) in [('-', &change.before), ('+', &change.after)] {
        if let Some(value) = value {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = writeln!(out, "{sign} {}: {}", shown(change.key.as_bytes()), shown(value.as_bytes()));
        }
    }
}

fn layer_line(out: &mut String, sign: char, layer: &SideLayer) {
    let hex = layer.digest.hex();
    let step = layer.created_by.as_deref().map(text::short).unwrap_or_default();
    let line =
        format!("{sign} {}  {:>8}  {step}", hex.get(..12).unwrap_or(hex), text::size(layer.size_bytes));
    let _ = writeln!(out, "{}", line.trim_end());
}

fn file_line(out: &mut String, file: &FileChange) {
    let path = shown(&file.path);
    let _ = match (&file.before, &file.after) {
        (None, Some(node)) => writeln!(out, "+ /{path}{}", detail(node)),
        (Some(_), None) => writeln!(out, "- /{path}"),
        (Some(before), Some(after)) => {
            let parts: Vec<String> =
                file.aspects().into_iter().map(|aspect| change(aspect, before, after)).collect();
            writeln!(out, "~ /{path}  {}", parts.join(", "))
        }
        (None, None) => Ok(()),
    };
}

fn detail(node: &Node) -> String {
    match node.kind {
        EntryKind::File => format!("  {}", text::size(node.size)),
        EntryKind::Symlink => format!(" -> {}", shown(&node.link)),
        EntryKind::Dir => "/".to_owned(),
        kind => format!("  {}", name_of(kind)),
    }
}

fn change(aspect: &str, before: &Node, after: &Node) -> String {
    match aspect {
        "type" => format!("{} → {}", name_of(before.kind), name_of(after.kind)),
        "content" if before.size != after.size => {
            format!("content {} → {}", text::size(before.size), text::size(after.size))
        }
        "target" => format!("target {} → {}", shown(&before.link), shown(&after.link)),
        "mode" => format!("mode {:04o} → {:04o}", before.mode, after.mode),
        "owner" => format!("owner {}:{} → {}:{}", before.uid, before.gid, after.uid, after.gid),
        other => other.to_owned(),
    }
}

fn name_of(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File | EntryKind::HardLink => "file",
        EntryKind::Symlink => "symlink",
        EntryKind::CharDevice => "char-device",
        EntryKind::BlockDevice => "block-device",
        EntryKind::Dir => "directory",
        EntryKind::Fifo => "fifo",
    }
}

/// Text from an image, on one line and without control characters.
fn shown(bytes: &[u8]) -> String {
    text::clean(bytes, text::Colour::Strip).replace('\n', " ")
}

fn as_json(difference: &Difference, times: bool) -> Value {
    let config =
        difference.config.iter().map(|c| json!({ "key": c.key, "before": c.before, "after": c.after }));
    let files: Vec<Value> = listed(difference, times).map(file_json).collect();
    json!({
        "equal": difference.is_empty(),
        "before": side_json(&difference.before),
        "after": side_json(&difference.after),
        "config": config.collect::<Vec<_>>(),
        "files": difference.files.as_ref().map(|_| files),
    })
}

fn side_json(side: &Side) -> Value {
    let layers = side.layers.iter().map(|l| {
        json!({
            "digest": l.digest.as_str(), "diffId": l.diff_id.as_str(), "sizeBytes": l.size_bytes,
            "createdBy": l.created_by, "shared": l.shared,
        })
    });
    json!({
        "name": side.name, "digest": side.digest.as_str(), "platform": side.platform,
        "sizeBytes": size(side), "layers": layers.collect::<Vec<_>>(),
    })
}

fn file_json(file: &FileChange) -> Value {
    let what = match (&file.before, &file.after) {
        (None, _) => "added",
        (_, None) => "removed",
        _ => "changed",
    };
    json!({
        "path": format!("/{}", String::from_utf8_lossy(&file.path)),
        "change": what,
        "aspects": file.aspects(),
        "before": file.before.as_ref().map(node_json),
        "after": file.after.as_ref().map(node_json),
    })
}

fn node_json(node: &Node) -> Value {
    let mut value = json!({
        "type": name_of(node.kind), "mode": format!("{:04o}", node.mode),
        "uid": node.uid, "gid": node.gid, "mtime": cooper_oci::format_rfc3339(node.mtime, 0),
    });
    match node.kind {
        EntryKind::File => value["sizeBytes"] = node.size.into(),
        EntryKind::Symlink => value["target"] = String::from_utf8_lossy(&node.link).into(),
        _ => {}
    }
    value
}
