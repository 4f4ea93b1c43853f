//! Blobs that were not finished: `partial/<algorithm>-<hex>`.
//!
//! A large blob whose digest is known grows here, its file locked (flock) by its writer. If that ends before the blob is
//! whole, killed or not, the next one goes on with what is there. Nothing here is synced, and after a power cut it may
//! hold anything: only the digest of the whole makes it a blob. What nobody went on with for a week is removed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cooper_oci::Digest;

use crate::error::{Error, Result};
use crate::files;
use crate::layout::Layout;

/// Smaller blobs begin again.
pub const RESUMED_FROM_BYTES: u64 = 16 << 20;
const KEPT_FOR: Duration = Duration::from_hours(7 * 24);

/// Opens the unfinished file of a blob, or a new one; `None` if somebody else has it.
pub(crate) fn open(layout: &Layout, digest: &Digest) -> Result<Option<(File, PathBuf)>> {
    let path = layout.partials().join(format!("{}-{}", digest.algorithm().as_str(), digest.hex()));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(Error::io("open", &path))?;
    Ok(lock(&file, &path)?.then_some((file, path)))
}

/// Locks a file if nobody has, and if it is still the one of that name.
fn lock(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(Error::io("lock", path)(error)),
    }
    let ours = file.metadata().map_err(Error::io("look at", path))?;
    Ok(fs::symlink_metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())))
}

/// Names and sizes on disk of all that nobody writes; if asked to, they are removed.
pub(crate) fn idle(layout: &Layout, remove: bool) -> Result<Vec<(String, u64)>> {
    let mut all = Vec::new();
    visit(layout, &mut |name, path, file| {
        all.push((name, file.metadata().map_err(Error::io("look at", path))?.blocks() * 512));
        if remove { files::remove_file(path) } else { Ok(()) }
    })?;
    Ok(all)
}

/// Removes what is too old, and what holds nothing.
pub(crate) fn clean(layout: &Layout) -> Result<()> {
    visit(layout, &mut |_, path, file| {
        let meta = file.metadata().map_err(Error::io("look at", path))?;
        let age = meta.modified().ok().and_then(|changed| changed.elapsed().ok()).unwrap_or_default();
        if meta.len() == 0 || age >= KEPT_FOR { files::remove_file(path) } else { Ok(()) }
    })
}

/// Calls `each` with those that nobody has, locked.
fn visit(layout: &Layout, each: &mut dyn FnMut(String, &Path, &File) -> Result<()>) -> Result<()> {
    for name in files::list(&layout.partials())? {
        let path = layout.partials().join(&name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        if lock(&file, &path)? {
            each(name, &path, &file)?;
        }
    }
    Ok(())
}
