//! `type=local` and `type=tar`: the files of the result, without any image around them.
//!
//! Split, each platform has a directory of its own, such as `linux_arm64`.

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cooper_oci::ImageConfig;
use cooper_oci::tar::{Entry, EntryKind, Writer};
use cooper_snapshotter::{Chain, ExportOptions, Store};

use crate::arrivals::fetch_and_unpack;
use crate::build::Built;
use crate::error::{BuildError, Kind};
use crate::request::OutputKind;
use crate::session::Inner;
use crate::task;

/// The files of one platform.
struct Part {
    chain: Chain,
    directory: String,
    epoch: Option<i64>,
}

/// Writes the root filesystems into a directory or a tar; `split`: each into a directory of its own.
pub async fn export(
    session: &Arc<Inner>,
    built: &[Built],
    kind: OutputKind,
    dest: Option<PathBuf>,
    split: bool,
) -> Result<(), BuildError> {
    let mut parts = Vec::new();
    for one in built {
        unpack(session, one).await?;
        let (chain, directory) = (one.rootfs.chain().clone(), directory_of(&one.config));
        parts.push(Part { chain, directory, epoch: one.epoch });
    }
    let session = session.clone();
    task::blocking("export files", move || {
        let store = &session.store;
        match (kind, dest) {
            (OutputKind::Local, Some(dest)) => directories(store, &parts, &dest, split),
            (_, None) => {
                let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
                archive(store, &parts, split, &mut out)
            }
            (_, Some(dest)) => crate::replace::replace_file(&dest, |out| archive(store, &parts, split, out)),
        }
    })
    .await
}

fn directory_of(config: &ImageConfig) -> String {
    let variant = config.variant.as_ref().map(|v| format!("_{v}")).unwrap_or_default();
    format!("{}_{}{variant}", config.os, config.architecture)
}

async fn unpack(session: &Arc<Inner>, built: &Built) -> Result<(), BuildError> {
    let chain = built.rootfs.chain().clone();
    if session.store.has_snapshot(&chain)? {
        return Ok(());
    }
    let layers = built.rootfs.layers().iter();
    let origins = layers.filter_map(|l| Some((l.diff_id.clone(), built.origins.get(&l.diff_id)?))).collect();
    fetch_and_unpack(session, chain, origins).await.map(drop)
}

fn directories(store: &Store, parts: &[Part], dest: &Path, split: bool) -> Result<(), BuildError> {
    if !split && parts.len() > 1 {
        refuse_collisions(store, parts)?;
    }
    for part in parts {
        // Inside a user namespace root is the caller, too.
        let options = ExportOptions { owner: Some((0, 0)), time: part.epoch };
        let dest = if split { dest.join(&part.directory) } else { dest.to_owned() };
        store.export_dir(&part.chain, &dest, options)?;
    }
    Ok(())
}

fn refuse_collisions(store: &Store, parts: &[Part]) -> Result<(), BuildError> {
    let mut seen: HashMap<Vec<u8>, &str> = HashMap::new();
    for part in parts {
        for path in store.file_paths(&part.chain)? {
            if let Some(other) = seen.get(&path) {
                let (path, new) = (String::from_utf8_lossy(&path), &part.directory);
                let message =
                    format!("cannot overwrite {path} from {other} with {new} when split option is disabled");
                return Err(BuildError::user(message));
            }
            seen.insert(path, &part.directory);
        }
    }
    Ok(())
}

fn archive(store: &Store, parts: &[Part], split: bool, out: &mut dyn Write) -> Result<(), BuildError> {
    let failed = |e: std::io::Error| BuildError::new(Kind::Config, "cannot write the archive").caused_by(e);
    let mut tar = Writer::new(out);
    for part in parts {
        let mut below: &[u8] = b"";
        if split {
            below = part.directory.as_bytes();
            let entry = Entry {
                path: below.to_vec(),
                kind: EntryKind::Dir,
                mode: 0o755,
                mtime: part.epoch.unwrap_or(0),
                ..Entry::default()
            };
            tar.append(&entry).map_err(failed)?;
        }
        store.flatten_into(&part.chain, below, part.epoch, &mut tar)?;
    }
    tar.finish().map_err(failed)?.flush().map_err(failed)
}
