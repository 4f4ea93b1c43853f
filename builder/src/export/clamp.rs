//! `rewrite-timestamp=true`: layers made here once more, with no time in them after `SOURCE_DATE_EPOCH`.
//!
//! Base layers stay as they are. A rewritten layer is a blob of the store, its uncompressed tar, with a record
//! `layers/<diff id>.json` as any layer has; `steps/clamped-<hash>` remembers which layer became which, as JSON.

use std::io::{self, Read, Write};
use std::sync::Arc;

use cooper_oci::tar::{Budget, EntryKind, Reader, Writer};
use cooper_oci::{Digest, media};
use cooper_snapshotter::{BlobForm, LayerInfo, Store};

use crate::build::Built;
use crate::error::{BuildError, Kind};
use crate::event::{Event, EventSender};
use crate::rootfs::{Layer, Rootfs};
use crate::session::Inner;
use crate::task;

/// The same results with rewritten layers; those without an epoch as they are, with a warning.
pub async fn clamp(
    session: &Arc<Inner>,
    built: &[Built],
    events: &EventSender,
) -> Result<Vec<Built>, BuildError> {
    let mut out = Vec::new();
    for one in built {
        let mut one = one.clone();
        if let Some(epoch) = one.epoch {
            let mut from_base = true;
            let mut rootfs = Rootfs::default();
            for (at, layer) in one.rootfs.layers().iter().enumerate() {
                let mut layer = Layer::clone(layer);
                from_base &= one.origins.get(&layer.diff_id).is_some();
                if !from_base {
                    let (session, diff_id) = (session.clone(), layer.diff_id.clone());
                    layer.diff_id =
                        task::blocking("rewrite a layer", move || rewritten(&session.store, &diff_id, epoch))
                            .await?;
                    one.config.rootfs.diff_ids[at] = layer.diff_id.clone();
                }
                rootfs.push(layer);
            }
            one.rootfs = rootfs;
        } else {
            events.send(Event::Warning {
                rule: "RewriteTimestamp".into(),
                message: "rewrite-timestamp is specified, but no SOURCE_DATE_EPOCH was found".into(),
                span: None,
            });
        }
        out.push(one);
    }
    Ok(out)
}

fn rewritten(store: &Store, diff_id: &Digest, epoch: i64) -> Result<Digest, BuildError> {
    let key = blake3::hash(format!("{diff_id} {epoch}").as_bytes()).to_hex();
    let name = format!("clamped-{key}");
    let _lock = store.lock_step(&name)?;
    let known: Option<Digest> = store.get_step(&name)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(known) = known
        && store.has_blob(&known)?.is_some()
        && store.layer(&known)?.is_some()
    {
        return Ok(known);
    }
    let info = store
        .layer(diff_id)?
        .ok_or_else(|| BuildError::new(Kind::Internal, format!("the layer {diff_id} is not known")))?;
    let mut writer = store.blob_writer(None, None)?;
    through_pipe(
        |to| Ok(store.layer_tar(diff_id, to)?),
        |from| {
            rewrite(from, epoch, &mut writer).map_err(|e| {
                BuildError::new(Kind::Config, format!("cannot rewrite the layer {diff_id}")).caused_by(e)
            })
        },
    )?;
    let size_bytes = writer.written();
    let digest = writer.commit()?;
    let form = BlobForm { digest: digest.clone(), size_bytes, media_type: media::OCI_LAYER_TAR.into() };
    store.put_layer(&LayerInfo {
        diff_id: digest.clone(),
        size_bytes,
        // Without times, as it was.
        content: info.content,
        entries: info.entries,
        blobs: vec![form],
    })?;
    store.sync()?;
    let record = serde_json::to_vec(&digest)
        .map_err(|e| BuildError::new(Kind::Internal, "a record cannot be written").caused_by(e))?;
    store.put_step(&name, &record)?;
    Ok(digest)
}

/// Runs a producer of bytes and their reader at once. The producer's failure counts, unless it only lost its reader.
fn through_pipe(
    produce: impl FnOnce(&mut dyn Write) -> Result<(), BuildError> + Send,
    consume: impl FnOnce(&mut dyn Read) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let (mut from, mut to) =
        io::pipe().map_err(|e| BuildError::new(Kind::Config, "cannot make a pipe").caused_by(e))?;
    std::thread::scope(|scope| {
        let producer = scope.spawn(move || produce(&mut to));
        let consumed = consume(&mut from);
        drop(from);
        let produced = producer.join().unwrap_or_else(|_| {
            Err(BuildError::new(Kind::Internal, "a thread that reads a layer ended unexpectedly"))
        });
        match produced {
            Err(e) if consumed.is_ok() || !lost_reader(&e) => Err(e),
            _ => consumed,
        }
    })
}

fn lost_reader(error: &BuildError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = cause {
        if this.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            return true;
        }
        cause = this.source();
    }
    false
}

fn rewrite(from: &mut dyn Read, epoch: i64, to: &mut dyn Write) -> io::Result<()> {
    let mut reader = Reader::new(from, Budget::layer());
    let mut writer = Writer::new(to);
    while let Some(mut entry) = reader.next().map_err(io::Error::other)? {
        if entry.mtime >= epoch {
            (entry.mtime, entry.mtime_nanos) = (epoch, 0);
        }
        if entry.kind == EntryKind::File {
            writer.append_with(&entry, &mut reader)?;
        } else {
            writer.append(&entry)?;
        }
    }
    writer.finish()?;
    // Whatever stands behind the end of the archive: the producer must come to its own end.
    reader.drain().map_err(io::Error::other)?;
    Ok(())
}
