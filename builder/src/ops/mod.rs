//! One module per kind of op that makes a layer.

pub mod ahead;
pub mod copy;
pub mod git;
pub mod http;
pub mod layer;
pub mod mkdir;
pub mod mounts;
pub mod run;
pub mod sources;

use std::collections::HashMap;
use std::sync::Arc;

use cooper_frontend::graph::StepId;

use crate::arrivals::fetch_and_unpack;
use crate::error::{BuildError, Kind};
use crate::event::Event;
use crate::rootfs::Rootfs;
use crate::solver::{Build, Output};
use crate::task;

/// The root filesystem that a step's input holds.
pub(crate) fn rootfs_of(inputs: &HashMap<StepId, Output>, id: StepId) -> Result<Rootfs, BuildError> {
    match inputs.get(&id) {
        Some(Output::Rootfs(rootfs)) => Ok(rootfs.clone()),
        _ => Err(BuildError::new(Kind::Internal, "a step's base is not a root filesystem")),
    }
}

/// Warns of what BuildKit does in silence and a user may not expect; `--strict` makes it an error.
pub(crate) fn tell_surprises(
    build: &Build,
    step: usize,
    surprises: impl IntoIterator<Item = String>,
) -> Result<(), BuildError> {
    for message in surprises {
        if build.request.strict {
            return Err(BuildError::user(message).hint("--strict makes this an error"));
        }
        let span = build.graph.dag[petgraph::graph::NodeIndex::new(step - build.first_step)].span;
        build.events.send(Event::Warning { rule: "CopySurprise".into(), message, span });
    }
    Ok(())
}

/// Brings what a step's input holds, as far as it is not there yet.
pub(crate) async fn bring(
    build: &Arc<Build>,
    output: &Output,
    step: Option<usize>,
) -> Result<(), BuildError> {
    match output {
        Output::Rootfs(rootfs) => unpack(build, rootfs).await,
        Output::Download(download) => download.bring(&build.fetcher(step)).await,
        Output::Context(_) | Output::Inline(_) => Ok(()),
    }
}

/// Brings and unpacks all layers of a root filesystem that are not there yet.
pub(crate) async fn unpack(build: &Arc<Build>, rootfs: &Rootfs) -> Result<(), BuildError> {
    let store = build.session.store.clone();
    let chain = rootfs.chain().clone();
    let Some(id) = chain.id().filter(|_| !store.knows(&chain)) else { return Ok(()) };
    {
        let (store, chain) = (store.clone(), chain.clone());
        if task::blocking("look for snapshots", move || Ok(store.has_snapshot(&chain)?)).await? {
            return Ok(());
        }
    }
    let origins = rootfs.layers().iter();
    let origins = origins.filter_map(|l| Some((l.diff_id.clone(), build.origins.get(&l.diff_id)?))).collect();
    let work = async {
        let _turn = build.session.arrivals.chain_turn(&id).await;
        if store.knows(&chain) {
            return Ok(());
        }
        for message in fetch_and_unpack(&build.session, chain, origins).await? {
            build.events.send(Event::Warning { rule: "Unpack".into(), message, span: None });
        }
        Ok(())
    };
    tokio::select! {
        done = work => done,
        () = build.cancel.cancelled() => Err(BuildError::cancelled()),
    }
}
