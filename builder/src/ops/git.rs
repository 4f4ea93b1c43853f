//! Git sources: a checkout as a layer of its own.
//!
//! The commit comes first, by one question to the server or none; the layer is keyed by it and by what is taken of it.
//! So an unchanged ref costs a question, and a pinned commit nothing.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use cooper_frontend::graph::{CopyOp, CopySource, GitOp, SourceKind, StepId};
use cooper_snapshotter::Chain;
use cooper_sys::fs::{self, OFlags};

use crate::copy::{self, CopyOptions, NoHasher, SourceTree};
use crate::error::BuildError;
use crate::event::{Event, StepState};
use crate::remote::git::{Git, Location, Mtime, Resolved, check_out, resolve};
use crate::remote::{Fetcher, Scratch};
use crate::rootfs::{Layer, Rootfs};
use crate::solver::key::Inputs;
use crate::solver::record::{self, Record, RecordedLayer};
use crate::task;

/// The checkout of a git source of the graph.
pub async fn run(fetcher: &Fetcher, op: &GitOp) -> Result<(Rootfs, StepState), BuildError> {
    let location = Location::parse(&op.url)?.with_checksum(op.checksum.as_deref())?;
    let keep_git_dir = op.keep_git_dir || location.keep_git_dir == Some(true);
    let (rootfs, state, _) = layer(fetcher, &location, keep_git_dir).await?;
    Ok((rootfs, state))
}

/// The files of a location as a layer, and the time of their commit in Unix seconds.
pub async fn layer(
    fetcher: &Fetcher,
    location: &Location,
    keep_git_dir: bool,
) -> Result<(Rootfs, StepState, i64), BuildError> {
    // A directory above the one that counts has none.
    let keep_git_dir = keep_git_dir && location.subdir.is_empty();
    let scratch = Scratch::new(&fetcher.session.store, "git")?;
    let git = Git::new(fetcher, location, scratch.path())?;
    let resolved = resolve(&git, location).await?;
    warn_of_weak_checksum(fetcher, location)?;
    let inputs = inputs(location, &resolved, keep_git_dir);
    let key = inputs.key();
    let store = &fetcher.session.store;
    if let Some(record) = Record::find(store, &key) {
        return Ok((rootfs_of(&record), StepState::Hit, record.created_seconds));
    }
    let near = record::near_name("git", &format!("{}:{}", location.shown(), location.subdir));
    let reason = record::explain(store, &near, &inputs);
    let lock = {
        let (session, key) = (fetcher.session.clone(), key.clone());
        let lock = task::blocking("lock a checkout", move || Ok(session.store.lock_step(&key)?));
        fetcher.unless_cancelled(lock).await?
    };
    if let Some(record) = Record::find(store, &key) {
        return Ok((rootfs_of(&record), StepState::Hit, record.created_seconds));
    }
    let started = Instant::now();
    let (tree, seconds) = check_out(&git, location, &resolved, keep_git_dir).await?;
    let (session, location) = (fetcher.session.clone(), location.clone());
    let rootfs = task::blocking("keep a checkout", move || {
        let store = &session.store;
        let time = (location.mtime == Some(Mtime::Commit)).then_some((seconds, 0));
        let root = subdirectory(&tree, &location)?;
        let active = store.prepare(&Chain::default(), &[])?;
        let (source, op) = everything();
        let selection = copy::select(&SourceTree::client(root, None, Arc::new(NoHasher)), &source, &op)?;
        let options = CopyOptions { file_time: time, parent_time: time, ..CopyOptions::default() };
        copy::copy(&selection, active.root(), &op, &options)?;
        let made = store.commit(active)?;
        store.sync()?;
        let record = Record {
            inputs,
            layer: RecordedLayer { diff_id: made.diff_id, content: made.content.0 },
            created_seconds: seconds,
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        record.publish(store, &key, &near)?;
        drop(lock);
        Ok(rootfs_of(&record))
    })
    .await?;
    Ok((rootfs, StepState::Miss { reason }, seconds))
}

fn inputs(location: &Location, resolved: &Resolved, keep_git_dir: bool) -> Inputs {
    let mut inputs = Inputs::default();
    inputs.add("op", "git");
    inputs.add("commit", &resolved.commit);
    inputs.add("subdir", &location.subdir);
    inputs.add("submodules", location.submodules.to_string());
    inputs.add("mtime", if location.mtime == Some(Mtime::Commit) { "commit" } else { "checkout" });
    if keep_git_dir {
        // Both stand in the files of the repository.
        inputs.add("remote", &location.remote);
        inputs.add("ref", resolved.name.as_deref().unwrap_or_default());
    }
    inputs
}

fn warn_of_weak_checksum(fetcher: &Fetcher, location: &Location) -> Result<(), BuildError> {
    let Some(checksum) = location.checksum.as_ref().filter(|c| !matches!(c.len(), 40 | 64)) else {
        return Ok(());
    };
    let message =
        format!("the checksum {checksum} of {} is only the beginning of a commit's id", location.remote);
    if fetcher.request.strict {
        return Err(BuildError::user(message).hint("give all of it; --strict makes this an error"));
    }
    fetcher.events.send(Event::Warning { rule: "ShortChecksum".into(), message, span: None });
    Ok(())
}

/// Opens the directory that a location names: all parts of its path must be directories, not links.
fn subdirectory(tree: &Path, location: &Location) -> Result<OwnedFd, BuildError> {
    let mut dir = fs::open_dir(tree)?;
    for part in location.subdir.split('/').filter(|part| !part.is_empty()) {
        dir = fs::open_at(&dir, part, OFlags::RDONLY | OFlags::DIRECTORY).map_err(|e| {
            BuildError::user(format!("{} has no directory {:?}", location.shown(), location.subdir))
                .caused_by(e)
        })?;
    }
    Ok(dir)
}

/// All files of a tree, put at the root.
fn everything() -> (CopySource, CopyOp) {
    let source = CopySource {
        input: StepId::new(0),
        path: "/".into(),
        kind: SourceKind::Files { preserve_owner: false },
        span: None,
    };
    let op = CopyOp {
        base: StepId::new(0),
        link: false,
        sources: vec![source.clone()],
        dest: "/".into(),
        chown: None,
        chmod: None,
        parents: false,
        excludes: Vec::new(),
        add: false,
    };
    (source, op)
}

/// A source counts in later keys by its content.
fn rootfs_of(record: &Record) -> Rootfs {
    Rootfs::default().with(Layer {
        diff_id: record.layer.diff_id.clone(),
        identity: record.layer.content.clone(),
        created_seconds: None,
    })
}
