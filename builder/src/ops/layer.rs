//! Making the layer of what a step did.
//!
//! The layer of the last step is compressed while it is made, if an output waits for that: its files are read once. Where
//! the outputs need nothing but that form, files that COPY took from the client do not have to be written at all: the
//! store then keeps the form instead of a snapshot, and unpacks it when a later build goes on from there.

use std::sync::Arc;

use cooper_oci::Digest;
use cooper_oci::compress::Prepared;
use cooper_snapshotter::{Active, Announce, Error, LayerInfo};

use crate::copy::Streamed;
use crate::error::BuildError;
use crate::export::{Beginning, EarlyArchive, EarlyForm};
use crate::forms::{self, Purpose};
use crate::making::{Destination, Making, failed};
use crate::rootfs::Rootfs;
use crate::solver::Build;
use crate::task;

/// Makes the layer of a step. Blocks.
pub(crate) fn commit(build: &Build, step: usize, active: Active) -> Result<LayerInfo, BuildError> {
    commit_with(build, step, active, None, None)
}

/// Begins an archive of which a step's layer will be the last one, if such an archive is wanted.
pub(crate) fn begin_archive(build: &Build, step: usize, base: &Rootfs) -> Option<Beginning> {
    let form = build.last_form(step).filter(|form| form.is_compressed());
    form.and_then(|form| EarlyArchive::begin(build, form, base))
}

/// As [`commit`], with blocks that were prepared for its form, and an archive that was begun for it.
pub(crate) fn commit_with(
    build: &Build,
    step: usize,
    active: Active,
    prepared: Option<Arc<Prepared>>,
    archive: Option<Beginning>,
) -> Result<LayerInfo, BuildError> {
    let store = &build.session.store;
    let form = build.last_form(step).filter(|form| form.is_compressed());
    let Some(form) = form else { return Ok(store.commit(active)?) };
    // All are busy: the layer is compressed in its turn.
    let Ok(_slot) = Arc::clone(&build.session.compress_slots).try_acquire_owned() else {
        return Ok(store.commit(active)?);
    };
    let archive = archive.and_then(Beginning::end);
    let destination = match &archive {
        Some((_, below)) => {
            below.place().map(|(file, start)| Destination::Part(file, start)).map_err(failed)?
        }
        None => Destination::File(store.scratch_file()?),
    };
    let mut making = begin(build, form, destination, prepared.clone())?;
    let info = store.commit_to(active, making.writer())?;
    let (digest, size_bytes) = finish(build, form, making, &info)?;
    // To free a large file takes a while.
    let _freeing = task::spawn(task::blocking("free", move || {
        drop(prepared);
        Ok(())
    }));
    if let Some((early, below)) = archive {
        below.has_last(&early, digest, size_bytes);
    }
    Ok(info)
}

/// The form that is all that is needed of a step's layer, if that is so.
pub(crate) fn only_form(build: &Build, step: usize) -> Option<&EarlyForm> {
    build.last_form(step).filter(|form| form.suffices)
}

/// Makes a layer of what a step did and of files where they lie. Blocks. `None`: they must be copied first.
pub(crate) fn stream(
    build: &Build,
    form: &EarlyForm,
    active: Active,
    files: Streamed<'_>,
) -> Result<Option<LayerInfo>, BuildError> {
    let Ok(_slot) = Arc::clone(&build.session.compress_slots).try_acquire_owned() else { return Ok(None) };
    let mut making = begin(build, form, Destination::Blob, None)?;
    let (begun, growing) = (&build.session.begun, making.growing().clone());
    let announce = form.loads.then(|| Box::new(move |size| begun.begin(&growing, size)) as Announce<'_>);
    match build.session.store.stream(active, &files, making.writer(), announce) {
        Ok(info) => {
            begun.has_all_of(&info.diff_id);
            finish(build, form, making, &info).map(|_| Some(info))
        }
        Err(Error::NotSpliced) => Ok(None),
        Err(e) => Err(files.into_failure().map_or_else(|| e.into(), BuildError::from)),
    }
}

fn begin(
    build: &Build,
    form: &EarlyForm,
    destination: Destination,
    prepared: Option<Arc<Prepared>>,
) -> Result<Making, BuildError> {
    let name = match &form.purpose {
        Purpose::Send(name) => name.clone(),
        Purpose::Keep => None,
    };
    Making::begin(&build.session, &form.format, name, destination, prepared)
}

fn finish(
    build: &Build,
    form: &EarlyForm,
    making: Making,
    info: &LayerInfo,
) -> Result<(Digest, u64), BuildError> {
    let (digest, size_bytes) = making.finish(&info.diff_id)?;
    forms::remember(&build.session, &info.diff_id, &form.format, digest.clone(), size_bytes)?;
    Ok((digest, size_bytes))
}
