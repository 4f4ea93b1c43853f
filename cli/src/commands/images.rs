//! Commands on images of the store: pull, push, images, tag, rmi, inspect.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use cooper_oci::{Platform, Reference};
use serde_json::Value;

use crate::backend::distribution::{RegistryOptions, Watch};
use crate::backend::{ImageSummary, Session};
use crate::failure::Failure;
use crate::flags::registry::RegistryFlags;
use crate::progress::{text, watched};
use crate::ui;

/// Flags of `pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Image, such as docker.io/library/busybox:1.37
    name: String,
    /// Platform, such as linux/arm64 [default: this machine's]
    #[arg(long)]
    platform: Option<String>,
    /// Print only the digest
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

impl PullArgs {
    /// How registries are spoken to.
    pub fn registries(&self) -> RegistryOptions {
        self.registry.options_for(&self.name)
    }
}

/// Flags of `push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Image of the store
    name: String,
    /// Print only the digest
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

impl PushArgs {
    /// How registries are spoken to.
    pub fn registries(&self) -> RegistryOptions {
        self.registry.options_for(&self.name)
    }
}

/// Flags of `images`.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Print only image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Flags of `tag`.
#[derive(Debug, Args)]
pub struct TagArgs {
    /// Image of the store
    source: String,
    /// Its additional name
    target: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Flags of `rmi`.
#[derive(Debug, Args)]
pub struct RmiArgs {
    /// Names to remove
    #[arg(required = true)]
    names: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Flags of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Images of the store
    #[arg(required = true)]
    names: Vec<String>,
}

/// Runs `cooper pull`.
pub async fn pull(args: &PullArgs, session: Session) -> Result<(), Failure> {
    let platform = args.platform.as_deref().map(Platform::parse).transpose();
    let platform = platform.map_err(|e| Failure::usage(format!("--platform: {e}")))?;
    let digest = watched(args.quiet, async |events| {
        let watch = Watch::new(events.clone(), format!("pull {}", args.name));
        session.watched_by(&watch);
        let done = Box::pin(session.pull(&args.name, platform, events)).await;
        watch.end(&done.as_ref().map_err(|f| f.message.as_str()));
        done
    })
    .await?;
    told(&args.name, &digest, args.json)
}

/// Runs `cooper push`.
pub async fn push(args: &PushArgs, session: Session) -> Result<(), Failure> {
    let digest = watched(args.quiet, async |events| {
        let watch = Watch::new(events.clone(), format!("push {}", args.name));
        session.watched_by(&watch);
        let done = Box::pin(session.push(&args.name, events)).await;
        watch.end(&done.as_ref().map_err(|f| f.message.as_str()));
        done
    })
    .await?;
    told(&args.name, &digest, args.json)
}

fn told(name: &str, digest: &str, json: bool) -> Result<(), Failure> {
    if json {
        let name = name.parse::<Reference>().map_or_else(|_| name.to_owned(), |r| r.to_string());
        return ui::json(&serde_json::json!({ "name": name, "digest": digest }));
    }
    ui::print(&format!("{digest}\n"))
}

/// Runs `cooper images`.
pub fn images(args: &ImagesArgs, session: &Session) -> Result<(), Failure> {
    let images = session.images()?;
    if args.json {
        let values = images.iter().map(json).collect();
        return ui::json(&Value::Array(values));
    }
    if args.quiet {
        for image in &images {
            ui::print(&format!(
                "{}
",
                image.image_id.as_ref().unwrap_or(&image.digest)
            ))?;
        }
        return Ok(());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    ui::print(&ui::table(&rows(&images, i64::try_from(now).unwrap_or(i64::MAX))))
}

fn json(image: &ImageSummary) -> Value {
    serde_json::json!({
        "name": image.name,
        "digest": image.digest.as_str(),
        "imageId": image.image_id.as_ref().map(cooper_oci::Digest::as_str),
        "tagged": cooper_oci::format_rfc3339(image.tagged_seconds, 0),
        "sizeBytes": image.size_bytes,
    })
}

fn rows(images: &[ImageSummary], now: i64) -> Vec<Vec<String>> {
    let mut rows = vec![["REPOSITORY", "TAG", "IMAGE ID", "TAGGED", "SIZE"].map(str::to_owned).to_vec()];
    for image in images {
        let (repository, tag) = split_name(&image.name);
        let id = image.image_id.as_ref().unwrap_or(&image.digest).hex();
        rows.push(vec![
            repository,
            tag,
            id.get(..12).unwrap_or(id).to_owned(),
            age(now - image.tagged_seconds),
            text::size(image.size_bytes),
        ]);
    }
    rows
}

/// A name in Docker's short form, and its tag.
fn split_name(name: &str) -> (String, String) {
    let Ok(reference) = name.parse::<Reference>() else { return (name.to_owned(), "<none>".to_owned()) };
    let bare = Reference { tag: None, digest: None, ..reference.clone() };
    (bare.familiar(), reference.tag.unwrap_or_else(|| "<none>".to_owned()))
}

fn age(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (number, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86400, "day"),
    };
    format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
}

/// Runs `cooper tag`.
pub fn tag(args: &TagArgs, session: &Session) -> Result<(), Failure> {
    session.tag(&args.source, &args.target)?;
    if args.json {
        let full = |name: &str| name.parse::<Reference>().map_or_else(|_| name.to_owned(), |r| r.to_string());
        return ui::json(&serde_json::json!({ "source": full(&args.source), "name": full(&args.target) }));
    }
    Ok(())
}

/// Runs `cooper rmi`: removes as many as can be removed, fails if one could not.
pub fn rmi(args: &RmiArgs, session: &Session) -> Result<(), Failure> {
    let (mut untagged, mut first) = (Vec::new(), None);
    for name in &args.names {
        match session.remove_image(name) {
            Ok(full) if args.json => untagged.push(full),
            Ok(full) => ui::print(&format!("Untagged: {full}\n"))?,
            Err(failure) if first.is_none() => first = Some(failure),
            Err(failure) => ui::note(&crate::excerpt::failure(&failure, false)),
        }
    }
    if args.json {
        ui::json(&serde_json::json!({ "untagged": untagged }))?;
    }
    first.map_or(Ok(()), Err)
}

/// Runs `cooper inspect`: always a list, as elsewhere.
pub fn inspect(args: &InspectArgs, session: &Session) -> Result<(), Failure> {
    let values = args.names.iter().map(|name| session.inspect(name)).collect::<Result<_, _>>()?;
    ui::json(&Value::Array(values))
}

#[cfg(test)]
mod tests {
    use cooper_oci::Digest;

    use super::*;

    #[test]
    fn rows_are_short_and_sorted_as_given() {
        let image = |name: &str, tagged_seconds| ImageSummary {
            name: name.to_owned(),
            digest: Digest::sha256_of(b"m"),
            image_id: Some(Digest::sha256_of(b"c")),
            tagged_seconds,
            size_bytes: 1_234_567,
        };
        let images = [image("docker.io/library/a:1", 940), image("localhost:5000/b/c:x", 999)];
        let rows = rows(&images, 1000);
        let id = &Digest::sha256_of(b"c").hex()[..12].to_owned();
        assert_eq!(rows[1], ["a", "1", id, "1 minute ago", "1.23MB"]);
        assert_eq!(rows[2], ["localhost:5000/b/c", "x", id, "1 second ago", "1.23MB"]);
    }

    #[test]
    fn ages() {
        for (seconds, want) in
            [(-5, "0 seconds ago"), (7200, "2 hours ago"), (86400, "24 hours ago"), (864_000, "10 days ago")]
        {
            assert_eq!(age(seconds), want);
        }
    }
}
