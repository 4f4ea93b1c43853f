//! Commands on repositories of registries: ls, delete.

use clap::Args;
use serde_json::json;

use crate::backend::distribution::{Deletion, ImageName, Images};
use crate::excerpt;
use crate::failure::{Failure, Kind};
use crate::flags::registry::{Names, RegistryFlags, remote, repository};
use crate::ui;

/// Flags of `ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Repository, such as registry.example/app
    #[arg(value_parser = repository)]
    repository: ImageName,
    /// At most so many tags
    #[arg(short, long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Only tags that come after this one
    #[arg(long, value_name = "TAG")]
    after: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

/// Flags of `delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Images: NAME:TAG takes the tag away, NAME@DIGEST deletes the image with all its tags
    #[arg(required = true, value_name = "IMAGE", value_parser = remote)]
    images: Vec<ImageName>,
    /// Of NAME:TAG, too, delete the image itself, and with it every other tag that names it
    #[arg(long)]
    all_tags: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

impl Names for LsArgs {
    fn names(&self) -> Vec<&ImageName> {
        vec![&self.repository]
    }

    fn flags(&self) -> &RegistryFlags {
        &self.registry
    }
}

impl Names for DeleteArgs {
    fn names(&self) -> Vec<&ImageName> {
        self.images.iter().collect()
    }

    fn flags(&self) -> &RegistryFlags {
        &self.registry
    }
}

/// Runs `cooper ls`.
pub async fn ls(args: &LsArgs, images: Images) -> Result<(), Failure> {
    let Some(repository) = args.repository.registry() else { return Ok(()) };
    let tags = images.tags(repository, args.after.as_deref(), args.limit).await?;
    if args.json {
        return ui::json(&json!({ "repository": repository.name(), "tags": tags }));
    }
    ui::lines(&tags)
}

/// Runs `cooper delete`: deletes as many as can be deleted, fails if one could not.
pub async fn delete(args: &DeleteArgs, images: Images) -> Result<(), Failure> {
    let deletion = if args.all_tags { Deletion::Image } else { Deletion::Tag };
    let (mut deleted, mut first) = (Vec::new(), None);
    for reference in args.images.iter().filter_map(ImageName::registry) {
        match images.delete(reference, deletion).await.map_err(Failure::from) {
            Ok(gone) if args.json => deleted.push(gone.to_string()),
            Ok(gone) => ui::print(&format!("Deleted: {gone}\n"))?,
            Err(failure) if first.is_none() && failure.kind != Kind::Cancelled => first = Some(failure),
            Err(failure) => ui::note(&excerpt::failure(&failure, false)),
        }
    }
    if args.json {
        ui::json(&json!({ "deleted": deleted }))?;
    }
    first.map_or(Ok(()), Err)
}
