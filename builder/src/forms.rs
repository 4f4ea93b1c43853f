//! Compressed forms of layers: made once in a session, sent while they are made.
//!
//! The bytes of a form go into a file without a name and, where a registry waits for them, out to it meanwhile. The store
//! does not keep them, unless an image of the store consists of them or a layer has nothing else (`ops/layer`): it
//! remembers their digest and size, and whoever needs the bytes another day makes the same ones again. A form can be begun
//! before its output is, while later steps run; it then takes only time that nobody else wants.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use cooper_oci::compress::Compression;
use cooper_oci::{Descriptor, Digest, Reference, media};
use cooper_snapshotter::{BlobFile, BlobForm};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use crate::assemble::{LayerFormat, write_layer_tar};
use crate::error::{BuildError, Kind};
use crate::growing::Growing;
use crate::making::{Destination, Making, failed};
use crate::session::Inner;
use crate::task;

/// What a form is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// The store's own image consists of it: its blob must be in the store.
    Keep,
    /// It leaves; for a registry if there is a name.
    Send(Option<Reference>),
}

/// A layer in a form.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The layer.
    pub diff_id: Digest,
    /// The compressed form that it came with, if it is a base layer; its blob must be in the store.
    pub base: Option<Descriptor>,
    /// The form.
    pub format: LayerFormat,
    /// What for.
    pub purpose: Purpose,
}

/// The forms of one session.
#[derive(Default)]
pub struct Forms {
    making: Mutex<HashMap<String, Arc<OnceCell<Descriptor>>>>,
    whole: Mutex<HashMap<Digest, Arc<Growing>>>,
    uploads: Mutex<HashMap<(Digest, String), task::Task<bool>>>,
    early: Mutex<Vec<task::Task<()>>>,
    keeping: Mutex<Vec<task::Task<Result<(), BuildError>>>>,
}

impl Forms {
    /// Takes note of a form whose bytes are in a file of the session.
    pub(crate) fn has_made(&self, digest: Digest, growing: Arc<Growing>) {
        lock(&self.whole).insert(digest, growing);
    }

    /// Makes a form of this digest a blob of the store beside other work.
    pub(crate) fn keep(&self, file: BlobFile, digest: Digest) {
        let work = task::blocking("keep layer", move || Ok(file.commit_as(&digest)?));
        lock(&self.keeping).push(task::spawn(work));
    }

    /// Waits until all forms that are kept are blobs of the store.
    pub(crate) async fn settle(&self) -> Result<(), BuildError> {
        let keeping = std::mem::take(&mut *lock(&self.keeping));
        for task in keeping {
            task.join().await??;
        }
        Ok(())
    }

    /// Takes note of the upload of a form to a repository.
    pub(crate) fn is_sending(&self, digest: Digest, repository: String, upload: task::Task<bool>) {
        lock(&self.uploads).insert((digest, repository), upload);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the bytes of a form are.
pub enum Place {
    /// In the store.
    Blob(PathBuf),
    /// In a file of this session.
    Session(Arc<Growing>),
}

impl Place {
    /// Reads the form.
    pub fn read(&self, runtime: Handle) -> std::io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::Blob(path) => Box::new(File::open(path)?),
            Self::Session(growing) => Box::new(growing.reader(0, runtime)),
        })
    }
}

/// The descriptor of a layer in a form. The form is made, unless it is known from another time. `early`: other work comes
/// first.
pub async fn descriptor(session: &Arc<Inner>, wanted: Wanted, early: bool) -> Result<Descriptor, BuildError> {
    if let Some(known) = known(session, &wanted)? {
        return Ok(known);
    }
    make(session, wanted, early).await
}

/// Begins to make a form, because it will be wanted; what goes wrong is told when it is. `early`: other work comes first.
pub fn begin(session: &Arc<Inner>, wanted: Wanted, early: bool) {
    let session_ = session.clone();
    let work = async move {
        if !matches!(known(&session_, &wanted), Ok(None)) {
            return;
        }
        // It will be tried again, and then the error is somebody's.
        let _ = make(&session_, wanted, early).await;
    };
    lock(&session.forms.early).push(task::spawn(work));
}

/// Makes the bytes of a form that is known by its descriptor only.
pub async fn make_again(
    session: &Arc<Inner>,
    wanted: Wanted,
    descriptor: &Descriptor,
) -> Result<(), BuildError> {
    let diff_id = wanted.diff_id.clone();
    let made = make(session, wanted, false).await?;
    if made.digest == descriptor.digest {
        return Ok(());
    }
    let message =
        format!("the compressed form of layer {diff_id} has changed; what was known of it is forgotten");
    Err(BuildError::new(Kind::Internal, message).hint("run the same command again"))
}

/// Where the bytes of a blob are, if they are anywhere.
pub fn place(session: &Inner, digest: &Digest) -> Result<Option<Place>, BuildError> {
    if session.store.has_blob(digest)?.is_some() {
        let blobs = session.store.root().join("blobs");
        return Ok(Some(Place::Blob(blobs.join(digest.algorithm().as_str()).join(digest.hex()))));
    }
    Ok(lock(&session.forms.whole).get(digest).cloned().map(Place::Session))
}

/// Waits for the upload of a form to a repository that began while it was made. `false`: there was none, or it failed.
pub async fn uploaded(session: &Inner, digest: &Digest, name: &Reference) -> Result<bool, BuildError> {
    let upload = lock(&session.forms.uploads).remove(&(digest.clone(), name.name()));
    match upload {
        Some(upload) => upload.join().await,
        None => Ok(false),
    }
}

fn media_type(format: &LayerFormat) -> &'static str {
    match (format.compression, format.oci_types) {
        (Compression::None, true) => media::OCI_LAYER_TAR,
        (Compression::Gzip, true) => media::OCI_LAYER_GZIP,
        (Compression::Zstd, _) => media::OCI_LAYER_ZSTD,
        (Compression::None, false) => media::DOCKER_LAYER_TAR,
        (Compression::Gzip, false) => media::DOCKER_LAYER_GZIP,
    }
}

/// What distinguishes compressed forms of one layer: their bytes depend on the level and on our coder.
fn form_name(format: &LayerFormat) -> String {
    let level = format.level.map_or_else(|| "default".to_string(), |l| l.to_string());
    format!("{};level={level};coder=6", media_type(format))
}

/// The descriptor, if nothing has to be made for it.
fn known(session: &Inner, wanted: &Wanted) -> Result<Option<Descriptor>, BuildError> {
    let Some(info) = session.store.layer(&wanted.diff_id)? else { return Ok(None) };
    let media_type = media_type(&wanted.format);
    if wanted.format.compression == Compression::None && wanted.base.is_none() {
        return Ok(Some(Descriptor::new(media_type, wanted.diff_id.clone(), info.size_bytes)));
    }
    let form = form_name(&wanted.format);
    let Some(found) = info.blobs.iter().find(|b| b.media_type == form) else { return Ok(None) };
    if wanted.purpose == Purpose::Keep && session.store.has_blob(&found.digest)? != Some(found.size_bytes) {
        return Ok(None);
    }
    Ok(Some(Descriptor::new(media_type, found.digest.clone(), found.size_bytes)))
}

/// Writes down what a form of a layer is called.
pub(crate) fn remember(
    session: &Inner,
    diff_id: &Digest,
    format: &LayerFormat,
    digest: Digest,
    size_bytes: u64,
) -> Result<(), BuildError> {
    let form = BlobForm { media_type: form_name(format), digest, size_bytes };
    Ok(session.store.record_blob_form(diff_id, form)?)
}

/// Makes a form, or waits for whoever makes it.
async fn make(session: &Arc<Inner>, wanted: Wanted, early: bool) -> Result<Descriptor, BuildError> {
    let keep = wanted.purpose == Purpose::Keep;
    let name = format!("{} {} {keep}", wanted.diff_id, form_name(&wanted.format));
    let cell = lock(&session.forms.making).entry(name).or_default().clone();
    cell.get_or_try_init(|| make_now(session, wanted, early)).await.cloned()
}

async fn make_now(session: &Arc<Inner>, wanted: Wanted, early: bool) -> Result<Descriptor, BuildError> {
    let slots = session.compress_slots.clone();
    let _permit = slots.acquire_owned().await.map_err(|_| BuildError::cancelled())?;
    let (made, wanted_format) = (wanted.diff_id.clone(), wanted.format.clone());
    let media_type = media_type(&wanted.format);
    let known_layer = session.store.layer(&made)?.is_some();
    let (digest, size_bytes) = match wanted.purpose.clone() {
        Purpose::Keep => {
            let (session, runtime) = (session.clone(), Handle::current());
            in_thread(early, move || {
                let writer = compress(&session, &wanted, &runtime, session.store.blob_writer(None, None)?)?;
                let size_bytes = writer.written();
                Ok((writer.commit()?, size_bytes))
            })
            .await?
        }
        Purpose::Send(name) => send(session, wanted, name, early).await?,
    };
    // Base layers that are recompressed have no information file until they are unpacked.
    if known_layer {
        remember(session, &made, &wanted_format, digest.clone(), size_bytes)?;
    }
    Ok(Descriptor::new(media_type, digest, size_bytes))
}

/// Compresses into a file of the session, and sends what is there of it meanwhile.
async fn send(
    session: &Arc<Inner>,
    wanted: Wanted,
    name: Option<Reference>,
    early: bool,
) -> Result<(Digest, u64), BuildError> {
    let mut making =
        Making::begin(session, &wanted.format, name, Destination::File(session.store.scratch_file()?), None)?;
    let (worker, runtime) = (session.clone(), Handle::current());
    in_thread(early, move || {
        write_layer_tar(&worker, &wanted.diff_id, wanted.base.as_ref(), &runtime, making.writer())?;
        making.finish(&wanted.diff_id)
    })
    .await
}

async fn in_thread<T: Send + 'static>(
    early: bool,
    work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
) -> Result<T, BuildError> {
    if early {
        task::background("compress", work).await
    } else {
        task::blocking("compress layer", work).await
    }
}

/// Writes a layer in its form.
fn compress<W: Write>(
    session: &Inner,
    wanted: &Wanted,
    runtime: &Handle,
    writer: W,
) -> Result<W, BuildError> {
    let LayerFormat { compression, level, .. } = wanted.format;
    let mut encoder =
        cooper_oci::compress::encoder(writer, compression, level, session.threads).map_err(failed)?;
    write_layer_tar(session, &wanted.diff_id, wanted.base.as_ref(), runtime, &mut encoder)?;
    encoder.finish().map_err(failed)
}
