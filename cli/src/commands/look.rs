//! Commands that show an image wherever it is: digest, manifest, config, export.

use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;

use clap::Args;
use cooper_oci::Platform;
use serde_json::json;

use crate::backend::distribution::{Document, ImageName, Images, Watch};
use crate::failure::Failure;
use crate::flags::registry::{Names, RegistryFlags, platform};
use crate::progress::watched;
use crate::ui;

/// An image, and which of its platforms.
#[derive(Debug, Args)]
pub struct Which {
    /// NAME (in a registry), store://NAME, oci-layout://DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]
    image: ImageName,
    /// Platform, such as linux/arm64
    #[arg(long, value_parser = platform)]
    platform: Option<Platform>,
    #[command(flatten)]
    registry: RegistryFlags,
}

/// Flags of `digest`.
#[derive(Debug, Args)]
pub struct DigestArgs {
    #[command(flatten)]
    which: Which,
    /// Print JSON: name, media type, digest, size
    #[arg(long)]
    json: bool,
}

/// Flags of `manifest`. Without `--platform` the index is shown, where there is one.
#[derive(Debug, Args)]
pub struct ManifestArgs {
    #[command(flatten)]
    which: Which,
    /// Indent the JSON; otherwise the bytes are exactly those that the digest is made of
    #[arg(long)]
    pretty: bool,
}

/// Flags of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(flatten)]
    which: Which,
    /// Indent the JSON; otherwise the bytes are exactly those that the digest is made of
    #[arg(long)]
    pretty: bool,
}

/// Flags of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    which: Which,
    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON; the tar goes into a file
    #[arg(long, requires = "output")]
    json: bool,
}

impl Names for Which {
    fn names(&self) -> Vec<&ImageName> {
        vec![&self.image]
    }

    fn flags(&self) -> &RegistryFlags {
        &self.registry
    }
}

macro_rules! names_one {
    ($($args:ty),*) => {$(
        impl Names for $args {
            fn names(&self) -> Vec<&ImageName> {
                self.which.names()
            }

            fn flags(&self) -> &RegistryFlags {
                self.which.flags()
            }
        }
    )*};
}
names_one!(DigestArgs, ManifestArgs, ConfigArgs);

impl Names for ExportArgs {
    fn names(&self) -> Vec<&ImageName> {
        self.which.names()
    }

    fn flags(&self) -> &RegistryFlags {
        self.which.flags()
    }

    // Layers are unpacked there.
    fn need_store(&self) -> bool {
        true
    }
}

/// Runs `cooper digest`.
pub async fn digest(args: &DigestArgs, images: Images) -> Result<(), Failure> {
    let which = &args.which;
    let descriptor = match &which.platform {
        Some(platform) => images.document(&which.image, Some(platform)).await?.descriptor,
        None => images.descriptor(&which.image).await?,
    };
    if args.json {
        let value = json!({
            "name": which.image.to_string(),
            "mediaType": descriptor.media_type,
            "digest": descriptor.digest.as_str(),
            "size": descriptor.size,
        });
        return ui::json(&value);
    }
    ui::print(&format!("{}\n", descriptor.digest))
}

/// Runs `cooper manifest`.
pub async fn manifest(args: &ManifestArgs, images: Images) -> Result<(), Failure> {
    show(&images.document(&args.which.image, args.which.platform.as_ref()).await?, args.pretty)
}

/// Runs `cooper config`.
pub async fn config(args: &ConfigArgs, images: Images) -> Result<(), Failure> {
    show(&images.config(&args.which.image, args.which.platform.as_ref()).await?, args.pretty)
}

/// Writes a document, and nothing after it: what is piped into a hash must be what the digest says.
fn show(document: &Document, pretty: bool) -> Result<(), Failure> {
    if pretty && let Ok(value) = serde_json::from_slice::<serde_json::Value>(&document.bytes) {
        return ui::json(&value);
    }
    ui::write(&document.bytes)?;
    if std::io::stdout().is_terminal() {
        // For people, whose prompt comes next.
        let _ = writeln!(std::io::stderr().lock());
    }
    Ok(())
}

/// Runs `cooper export`.
pub async fn export(args: &ExportArgs, images: Images) -> Result<(), Failure> {
    if args.output.is_none() && std::io::stdout().is_terminal() {
        return Err(Failure::usage("a tar is nothing for a terminal: give --output FILE, or a pipe"));
    }
    let which = &args.which;
    let exported = watched(args.quiet, async |events| {
        let watch = Watch::new(events, format!("export {}", which.image));
        let images = images.watched_by(&watch);
        let done = images.export(&which.image, which.platform.as_ref(), args.output.clone()).await;
        watch.end(&done);
        Ok(done?)
    })
    .await?;
    if !args.json {
        return Ok(());
    }
    ui::json(&json!({
        "name": which.image.to_string(),
        "digest": exported.descriptor.digest.as_str(),
        "platform": exported.platform().to_string(),
        "output": args.output,
    }))
}
