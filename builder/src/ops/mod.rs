//! One module per kind of op that makes a layer.

pub mod copy;
pub mod git;
pub mod http;
pub mod mkdir;
pub mod mounts;
pub mod run;
pub mod sources;

use std::collections::HashMap;
use std::sync::Arc;

use cooper_frontend::graph::StepId;

use crate::error::{BuildError, Kind};
use crate::event::Event;
use crate::image_source::fetch_layer;
use crate::rootfs::Rootfs;
use crate::solver::{Build, Output};
use crate::{assemble, task};

/// The root filesystem that a step's input holds.
pub(crate) fn rootfs_of(inputs: &HashMap<StepId, Output>, id: StepId) -> Result<Rootfs, BuildError> {
    match inputs.get(&id) {
        Some(Output::Rootfs(rootfs)) => Ok(rootfs.clone()),
        _ => Err(BuildError::new(Kind::Internal, "a step's base is not a root filesystem")),
    }
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
    if store.knows(rootfs.chain()) {
        return Ok(());
    }
    let chain = rootfs.chain().clone();
    {
        let (store, chain) = (store.clone(), chain.clone());
        if task::blocking("look for snapshots", move || Ok(store.has_snapshot(&chain)?)).await? {
            return Ok(());
        }
    }
    let origins: Vec<_> = rootfs.layers().iter().filter_map(|l| build.origins.get(&l.diff_id)).collect();
    let fetch = futures_util::future::try_join_all(origins.iter().map(|o| fetch_layer(&build.session, o)));
    tokio::select! {
        done = fetch => done?,
        () = build.cancel.cancelled() => return Err(BuildError::cancelled()),
    };
    let build = build.clone();
    task::blocking("unpack layers", move || {
        let session = build.session.clone();
        let report = store.ensure_unpacked(&chain, &|diff_id| {
            let origin = build.origins.get(diff_id);
            assemble::open_layer_tar(&session, diff_id, origin.as_ref().map(|o| &o.descriptor))
        })?;
        for message in report.warnings {
            build.events.send(Event::Warning { rule: "Unpack".into(), message, span: None });
        }
        Ok(())
    })
    .await
}
