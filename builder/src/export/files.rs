//! `type=local` and `type=tar`: the files of the result, without any image around them.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use cooper_snapshotter::ExportOptions;

use crate::assemble;
use crate::build::Built;
use crate::error::{BuildError, Kind};
use crate::image_source::fetch_layer;
use crate::request::OutputKind;
use crate::session::Inner;
use crate::task;

/// Writes the root filesystem into a directory or a tar.
pub async fn export(
    session: &Arc<Inner>,
    built: &[Built],
    kind: OutputKind,
    dest: Option<PathBuf>,
) -> Result<(), BuildError> {
    let [one] = built else {
        let (OutputKind::Local, Some(dest)) = (kind, dest) else {
            return Err(BuildError::user("type=tar cannot hold several platforms yet")
                .hint("use type=local, which makes a directory for each"));
        };
        for one in built {
            let platform = format!("{}_{}", one.config.os, one.config.architecture);
            let variant = one.config.variant.as_ref().map(|v| format!("_{v}")).unwrap_or_default();
            export_one(session, one, kind, Some(dest.join(platform + &variant))).await?;
        }
        return Ok(());
    };
    export_one(session, one, kind, dest).await
}

async fn export_one(
    session: &Arc<Inner>,
    built: &Built,
    kind: OutputKind,
    dest: Option<PathBuf>,
) -> Result<(), BuildError> {
    let chain = built.rootfs.chain();
    let origins: Vec<_> = built.rootfs.layers.iter().filter_map(|l| built.origins.get(&l.diff_id)).collect();
    if !session.store.has_snapshot(&chain)? {
        futures_util::future::try_join_all(origins.iter().map(|o| fetch_layer(session, o))).await?;
    }
    let (session, origins) = (session.clone(), built.origins.clone());
    task::blocking("export files", move || {
        let store = &session.store;
        store.ensure_unpacked(&chain, &|diff_id| {
            assemble::open_layer_tar(&session, diff_id, origins.get(diff_id).as_ref().map(|o| &o.descriptor))
        })?;
        match (kind, dest) {
            (OutputKind::Local, Some(dest)) => {
                // Inside a user namespace this is the caller, too.
                let options = ExportOptions { owner: Some((0, 0)) };
                Ok(store.export_dir(&chain, &dest, options)?)
            }
            (_, None) => {
                let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
                store.flatten_tar(&chain, &mut out)?;
                out.flush().map_err(|e| {
                    BuildError::new(Kind::Config, "cannot write to standard output").caused_by(e)
                })
            }
            (_, Some(dest)) => {
                super::archive::replace_file(&dest, |out| Ok(store.flatten_tar(&chain, out).map(drop)?))
            }
        }
    })
    .await
}
