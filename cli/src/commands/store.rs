//! Commands on the store as a whole: prune, du.

use clap::Args;

use crate::backend::Session;
use crate::failure::Failure;
use crate::progress::text;
use crate::ui;

/// Flags of `prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Remove the cache and cache mounts, too
    #[arg(short, long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Flags of `du`.
#[derive(Debug, Args)]
pub struct DuArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `cooper prune`.
pub fn prune(args: &PruneArgs, session: &Session) -> Result<(), Failure> {
    let bytes = session.prune(args.all)?;
    if args.json {
        return ui::json(&serde_json::json!({ "freedBytes": bytes }));
    }
    ui::print(&format!("Total reclaimed space: {}\n", text::size(bytes)))
}

/// Runs `cooper du`.
pub fn du(args: &DuArgs, session: &Session) -> Result<(), Failure> {
    let kinds = session.disk_usage()?;
    if args.json {
        let object = kinds.into_iter().map(|(kind, bytes)| (kind, bytes.into())).collect();
        return ui::json(&serde_json::Value::Object(object));
    }
    let total = kinds.iter().map(|(_, bytes)| bytes).sum();
    let mut rows = vec![["KIND", "SIZE"].map(str::to_owned).to_vec()];
    rows.extend(kinds.into_iter().map(|(kind, bytes)| vec![kind, text::size(bytes)]));
    rows.push(vec!["total".to_owned(), text::size(total)]);
    ui::print(&ui::table(&rows))
}
