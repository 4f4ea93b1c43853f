//! Commands that move images between registries, OCI layouts and archives, and that follow what belongs to them: copy, referrers.

use std::io::IsTerminal as _;

use clap::Args;
use cooper_oci::{Descriptor, Platform};
use serde_json::{Value, json};

use crate::backend::distribution::{Copied, CopyOptions, ImageName, Images, Watch};
use crate::failure::Failure;
use crate::flags::registry::{Names, RegistryFlags, outside, platform, remote};
use crate::progress::{text, watched};
use crate::ui;

/// Flags of `copy`. The store is not used; digests stay. Within one registry blobs are mounted, not sent.
#[derive(Debug, Args)]
pub struct CopyArgs {
    /// Image to copy: NAME in a registry, oci-layout://DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]
    #[arg(value_parser = outside)]
    source: ImageName,
    /// Where to, in the same words. An archive is replaced as a whole; for Docker it holds one platform, by default this machine's
    #[arg(value_parser = outside)]
    destination: ImageName,
    /// Only the image for this platform [default: everything]
    #[arg(long, value_parser = platform)]
    platform: Option<Platform>,
    /// Also copy what refers to the image: signatures, attestations, SBOMs
    #[arg(long)]
    referrers: bool,
    /// Print only the digest
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

/// Flags of `referrers`.
#[derive(Debug, Args)]
pub struct ReferrersArgs {
    /// Image
    #[arg(value_parser = remote)]
    image: ImageName,
    /// Only those of this type, such as application/spdx+json
    #[arg(long, value_name = "TYPE")]
    artifact_type: Option<String>,
    /// What refers to the image for this platform, not to the index
    #[arg(long, value_parser = platform)]
    platform: Option<Platform>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

impl Names for CopyArgs {
    fn names(&self) -> Vec<&ImageName> {
        vec![&self.source, &self.destination]
    }

    fn flags(&self) -> &RegistryFlags {
        &self.registry
    }
}

impl Names for ReferrersArgs {
    fn names(&self) -> Vec<&ImageName> {
        vec![&self.image]
    }

    fn flags(&self) -> &RegistryFlags {
        &self.registry
    }
}

/// Runs `cooper copy`.
pub async fn copy(args: &CopyArgs, images: Images) -> Result<(), Failure> {
    let (from, to) = (&args.source, &args.destination);
    if to.is_stream() && std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "an archive is nothing for a terminal: give a file instead of -, or a pipe",
        ));
    }
    let options =
        CopyOptions { platform: args.platform.clone(), referrers: args.referrers, ..CopyOptions::default() };
    let copied = watched(args.quiet, async |events| {
        let watch = Watch::new(events, format!("copy {from} to {to}"));
        let done = Box::pin(images.watched_by(&watch).copy(from, to, &options)).await;
        watch.end(&done);
        Ok(done?)
    })
    .await?;
    if args.json {
        let value = json!({
            "source": from.to_string(),
            "destination": to.to_string(),
            "mediaType": copied.descriptor.media_type,
            "digest": copied.descriptor.digest.as_str(),
            "manifests": copied.manifests,
            "blobs": {
                "sent": copied.blobs_sent, "mounted": copied.blobs_mounted, "existed": copied.blobs_existed,
            },
            "sentBytes": copied.sent_bytes,
        });
        return tell(to, &format!("{value:#}"));
    }
    if !args.quiet {
        ui::note(&summary(&copied));
    }
    tell(to, copied.descriptor.digest.as_str())
}

/// Prints the result: to standard error if the image itself went to standard output.
fn tell(to: &ImageName, result: &str) -> Result<(), Failure> {
    if to.is_stream() {
        ui::note(result);
        return Ok(());
    }
    ui::print(&format!("{result}\n"))
}

fn summary(copied: &Copied) -> String {
    let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    format!(
        "{}, {} sent ({}), {} mounted, {} there already",
        count(copied.manifests, "manifest"),
        count(copied.blobs_sent, "blob"),
        text::size(copied.sent_bytes),
        copied.blobs_mounted,
        copied.blobs_existed
    )
}

/// Runs `cooper referrers`.
pub async fn referrers(args: &ReferrersArgs, images: Images) -> Result<(), Failure> {
    let Some(image) = args.image.registry() else { return Ok(()) };
    let kind = args.artifact_type.as_deref();
    let (subject, found) = images.referrers(image, args.platform.as_ref(), kind).await?;
    if args.json {
        let found: Vec<Value> = found.iter().map(descriptor).collect();
        let value = json!({ "subject": descriptor(&subject), "referrers": found });
        return ui::json(&value);
    }
    let mut rows = vec![["ARTIFACT TYPE", "DIGEST", "SIZE"].map(str::to_owned).to_vec()];
    rows.extend(found.iter().map(|d| {
        let kind = d.artifact_type.as_deref().unwrap_or(&d.media_type);
        vec![text::short(kind), d.digest.to_string(), text::size(d.size)]
    }));
    ui::print(&ui::table(&rows))
}

/// A descriptor as it stands in a manifest.
pub fn descriptor(descriptor: &Descriptor) -> Value {
    serde_json::to_value(descriptor).unwrap_or_default()
}
