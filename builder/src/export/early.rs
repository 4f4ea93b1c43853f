//! An OCI archive that is begun before its last layer is made.
//!
//! While the last command runs, the layers below its own go into a file without a name beside the destination. The
//! layer is then written to its place in that file, not copied there. The archive has the same bytes as one that is
//! written at the end (`archive`), and gets its name as late. Whatever goes wrong here, or takes longer than the command,
//! is left to that.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cooper_oci::tar::Writer;
use cooper_oci::{Descriptor, Digest, Reference};
use cooper_sys::fs::{self, OFlags};
use tokio::runtime::Handle;

use super::EarlyForm;
use super::archive;
use crate::assemble::{self, Bundle};
use crate::forms::{self, Place, Purpose};
use crate::image_source::fetch_layer;
use crate::layout::member;
use crate::rootfs::Rootfs;
use crate::session::Inner;
use crate::solver::Build;
use crate::task::{self, Task};

/// Bytes that are written at once.
const BUFFER: usize = 256 << 10;
/// A tar header (POSIX.1-2017, pax: ustar), and what members are padded to.
const BLOCK: u64 = 512;

/// Where an archive will go, and what there is of it.
#[derive(Debug, Clone)]
pub struct EarlyArchive {
    dest: PathBuf,
    whole: Arc<Mutex<Option<Layers>>>,
}

/// All layers but the last are being written. Dropping it gives the archive up.
pub struct Beginning {
    early: EarlyArchive,
    task: Task<Option<Below>>,
    leash: Leash,
}

/// All layers but the last are written.
#[derive(Debug)]
pub struct Below {
    file: File,
    layers: Vec<Descriptor>,
    end: u64,
}

/// A file with all layers.
#[derive(Debug)]
struct Layers {
    below: Below,
    last: (Digest, u64),
}

/// Tells the thread to end when it is dropped.
struct Leash(Arc<AtomicBool>);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl EarlyArchive {
    /// An archive that will be written to `dest`.
    pub fn new(dest: PathBuf) -> Self {
        Self { dest, whole: Arc::default() }
    }

    /// Begins, if a layer on top of `below` will be the last one of such an archive. To be called from a thread of the
    /// runtime.
    pub fn begin(build: &Build, form: &EarlyForm, below: &Rootfs) -> Option<Beginning> {
        let early = form.archive.clone().filter(|_| build.request.platforms.len() < 2)?;
        let file = early.file(&build.session)?;
        let ended = Arc::new(AtomicBool::new(false));
        let leash = Leash(ended.clone());
        let (session, origins) = (build.session.clone(), build.origins.clone());
        let (layers, format) = (below.layers().to_vec(), form.format.clone());
        let task = task::spawn(async move {
            let mut sources = Vec::new();
            for layer in layers {
                let (diff_id, purpose) = (&layer.diff_id, Purpose::Send(None));
                let wanted = assemble::layer_descriptor(&session, diff_id, &origins, &format, &purpose, true);
                let descriptor = wanted.await.ok()?;
                if let Some(origin) =
                    origins.get(diff_id).filter(|o| o.descriptor.digest == descriptor.digest)
                {
                    fetch_layer(&session, &origin).await.ok()?;
                }
                let place = forms::place(&session, &descriptor.digest).ok()??;
                sources.push((descriptor, place));
            }
            let runtime = Handle::current();
            let work = move || {
                cooper_sys::process::lowest_priority();
                Ok(write_below(file, sources, &ended, &runtime).ok())
            };
            task::background("begin archive", work).await.ok()?
        });
        Some(Beginning { early, task, leash })
    }

    /// An empty file without a name beside the destination, if that is on the store's disk: what does not fit there then
    /// would not have fitted into the store.
    fn file(&self, session: &Inner) -> Option<File> {
        if self.dest.exists() && !self.dest.is_file() {
            return None;
        }
        let (folder, store) = (folder(&self.dest), session.store.root());
        if std::fs::metadata(folder).ok()?.dev() != std::fs::metadata(store).ok()?.dev() {
            return None;
        }
        let flags = i32::try_from(OFlags::TMPFILE.bits()).ok()?;
        File::options().read(true).write(true).mode(0o644).custom_flags(flags).open(folder).ok()
    }

    /// Completes and names the archive. `false`: there is none of this image.
    pub fn finish(&self, bundle: &Bundle, names: &[Reference]) -> bool {
        let whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(whole) = whole.filter(|whole| whole.are_those_of(bundle)) else { return false };
        whole.complete(bundle, names).and_then(|file| self.name(&file)).is_ok()
    }

    fn name(&self, file: &File) -> io::Result<()> {
        let name = self.dest.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let folder = fs::open_dir(folder(&self.dest))?;
        let passing = format!(".cooper-{}-{}", std::process::id(), file.metadata()?.ino());
        fs::link_fd_at(file, &folder, &passing)?;
        fs::rename_at(&folder, &passing, &folder, name).or_else(|e| {
            fs::unlink_at(&folder, &passing)?;
            Err(e)
        })?;
        Ok(())
    }
}

impl Beginning {
    /// What was begun, if nothing of it is missing.
    pub fn end(self) -> Option<(EarlyArchive, Below)> {
        let Self { early, task, leash } = self;
        if !task.is_finished() {
            return None;
        }
        let below = Handle::current().block_on(task.join()).ok()??;
        drop(leash);
        Some((early, below))
    }
}

impl Below {
    /// A handle of the file for the last layer, and where in it that begins.
    pub fn place(&self) -> io::Result<(File, u64)> {
        let mut file = self.file.try_clone()?;
        let start = self.end + BLOCK;
        file.seek(SeekFrom::Start(start))?;
        Ok((file, start))
    }

    /// The last layer was written to its place.
    pub fn has_last(self, early: &EarlyArchive, digest: Digest, size_bytes: u64) {
        let whole = Layers { below: self, last: (digest, size_bytes) };
        *early.whole.lock().unwrap_or_else(PoisonError::into_inner) = Some(whole);
    }
}

impl Layers {
    fn are_those_of(&self, bundle: &Bundle) -> bool {
        let [image] = bundle.images.as_slice() else { return false };
        let ours = self.below.layers.iter().map(|layer| &layer.digest).chain([&self.last.0]);
        // A layer that comes twice is in an archive once.
        let distinct: std::collections::BTreeSet<_> = ours.clone().collect();
        distinct.len() == image.layers.len() && ours.eq(image.layers.iter().map(|(_, d)| &d.digest))
    }

    fn complete(self, bundle: &Bundle, names: &[Reference]) -> io::Result<File> {
        let Self { below: Below { mut file, end, .. }, last: (digest, size_bytes) } = self;
        let header = header(&digest, size_bytes)?;
        file.write_all_at(&header, end)?;
        // What lies between is zeros.
        file.seek(SeekFrom::Start(end + BLOCK + size_bytes.next_multiple_of(BLOCK)))?;
        let mut tar = Writer::new(BufWriter::new(&file));
        archive::append_documents(&mut tar, bundle, names, &archive::Form::Oci).map_err(io::Error::other)?;
        tar.finish()?.into_inner()?;
        Ok(file)
    }
}

fn folder(dest: &Path) -> &Path {
    dest.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The header of a layer, if it is one block long.
fn header(digest: &Digest, size_bytes: u64) -> io::Result<Vec<u8>> {
    let mut tar = Writer::new(Vec::new());
    tar.append(&member::blob(digest, size_bytes))?;
    let header = std::mem::take(tar.get_mut());
    if header.len() as u64 == BLOCK { Ok(header) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn write_below(
    file: File,
    sources: Vec<(Descriptor, Place)>,
    ended: &AtomicBool,
    runtime: &Handle,
) -> io::Result<Below> {
    let mut out = BufWriter::with_capacity(BUFFER, file);
    let mut tar = Writer::new(&mut out);
    member::append_folders(&mut tar)?;
    let mut layers = Vec::new();
    for (descriptor, place) in sources {
        tar.append(&member::blob(&descriptor.digest, descriptor.size))?;
        tar.write_data(&mut Leashed { from: place.read(runtime.clone())?, ended })?;
        layers.push(descriptor);
    }
    // The next header is written when it is known.
    let end = tar.position();
    let file = out.into_inner()?;
    // It is on the store's disk, whose sync is waited for.
    fs::start_writeback(&file, 0, end);
    Ok(Below { file, layers, end })
}

/// Reads until it is told to end.
struct Leashed<'a> {
    from: Box<dyn Read>,
    ended: &'a AtomicBool,
}

impl Read for Leashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody waits for it"));
        }
        self.from.read(buffer)
    }
}
