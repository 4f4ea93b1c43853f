//! The store as a whole: opening, the version, and what all parts share.
//!
//! Any number of processes may have one store open. Each holds a shared lock of `locks/store`; an operation that
//! changes the layout would take it exclusively. Order of locks: `locks/steps`, then `locks/gc`, then
//! `locks/dirty`; the locks inside this process are never held while one of those is awaited, except the lease's.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use cooper_oci::{Algorithm, Digest};

use crate::epoch::{self, DirtyMark};
use crate::error::{Error, Result};
use crate::files::{self, Durability};
use crate::layout::Layout;
use crate::pack::Packs;
use crate::partial;
use crate::session::{self, Session};
use crate::snapshots::Located;
use crate::stubs::StubLayers;
use crate::sync::GroupSync;

/// The format that this program writes.
const VERSION: u32 = 1;

/// So many blobs go to disk each by itself at the same time; a `syncfs`, which serves any number, may have more to write
/// than them.
const CROWD: usize = 4;

/// How root file systems are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Overlay mounts where the kernel allows them in this place, plain copies elsewhere.
    #[default]
    Auto,
    /// Always plain copies: slow, and works everywhere.
    Copy,
}

/// An open store. Cloning is cheap and gives a handle to the same one; it closes with the last handle.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) layout: Layout,
    root: File,
    _in_use: File,
    pub(crate) epoch: u64,
    pub(crate) session: Session,
    dirty: DirtyMark,
    group: GroupSync,
    /// Blobs whose bytes are on their way to the disk.
    settling: AtomicUsize,
    /// Of the directories of blobs: SHA-256, SHA-512.
    names: [GroupSync; 2],
    /// Unsynced changes that became visible, and how many of them a sync has covered.
    changes: AtomicU64,
    synced: AtomicU64,
    /// Snapshots in use by the chain ID of their layer with all below it.
    pub(crate) located: Mutex<HashMap<Digest, Arc<Located>>>,
    /// Merged runs of layers (see `pack`).
    pub(crate) packs: Packs,
    /// Mount points that were made before (see `stubs`).
    pub(crate) stub_layers: StubLayers,
    /// Mounts that nobody needs any more.
    rubbish: Mutex<Vec<OwnedFd>>,
    mode: Mode,
    overlay: OnceLock<bool>,
}

impl Store {
    /// Opens the store in `root` and makes it if there is none. `COOPER_SNAPSHOTTER=copy` in the environment
    /// asks for [`Mode::Copy`].
    pub fn open(root: &Path) -> Result<Self> {
        let copy = std::env::var_os("COOPER_SNAPSHOTTER").is_some_and(|value| value == "copy");
        Self::open_with(root, if copy { Mode::Copy } else { Mode::Auto })
    }

    /// Opens the store in `root` and makes it if there is none.
    pub fn open_with(root: &Path, mode: Mode) -> Result<Self> {
        Self::open_as_boot(root, mode, epoch::boot_id())
    }

    /// As [`open_with`](Self::open_with), on a machine that calls its current boot `boot_id`. For tests of what
    /// happens after a power cut.
    pub fn open_as_boot(root: &Path, mode: Mode, boot_id: String) -> Result<Self> {
        make_private_dir(root)?;
        let root = fs::canonicalize(root).map_err(Error::io("open", root))?;
        let layout = Layout::new(&root);
        for dir in Layout::DIRS {
            make_dir(&root.join(dir))?;
        }
        spread_sessions(&layout)?;
        // Anyone may look through the empty root of a container.
        let empty = layout.empty();
        fs::set_permissions(&empty, fs::Permissions::from_mode(0o755)).map_err(Error::io("chmod", &empty))?;
        let in_use = session::open_lock(&layout.use_lock())?;
        in_use.lock_shared().map_err(Error::io("lock", layout.use_lock()))?;
        check_version(&layout)?;
        let epoch = epoch::open(&layout, &boot_id)?;
        session::clean_dead(&layout)?;
        partial::clean(&layout)?;
        let session = Session::start(&layout)?;
        let dir = File::open(&root).map_err(Error::io("open", &root))?;
        Ok(Self {
            inner: Arc::new(Inner {
                dirty: DirtyMark::new(&layout, boot_id),
                layout,
                root: dir,
                _in_use: in_use,
                epoch,
                session,
                group: GroupSync::default(),
                settling: AtomicUsize::new(0),
                names: Default::default(),
                changes: AtomicU64::new(0),
                synced: AtomicU64::new(0),
                located: Mutex::default(),
                packs: Packs::default(),
                stub_layers: StubLayers::default(),
                rubbish: Mutex::default(),
                mode,
                overlay: OnceLock::new(),
            }),
        })
    }

    /// The store's directory, absolute.
    pub fn root(&self) -> &Path {
        self.inner.layout.root()
    }

    /// Puts all that was committed so far on disk. Callers at the same time share one `syncfs`.
    pub fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    /// Says that something will be committed soon, so that what comes before the first change is done with.
    pub fn expect_changes(&self) -> Result<()> {
        self.inner.mark_dirty()
    }

    /// Ends the mounts of earlier views, which waits for all processors. Worth calling where nobody waits.
    pub fn end_mounts(&self) {
        if let Ok(mut rubbish) = self.inner.rubbish.lock() {
            let rubbish = std::mem::take(&mut *rubbish);
            drop(rubbish);
        }
    }

    /// Whether root file systems are overlay mounts; otherwise they are copies.
    pub fn uses_overlay(&self) -> bool {
        self.inner.uses_overlay()
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    pub(crate) fn session(&self) -> &Session {
        &self.inner.session
    }
}

impl Inner {
    pub(crate) fn sync(&self) -> Result<()> {
        self.group.sync(|| {
            let covered = self.changes.load(Ordering::SeqCst);
            cooper_sys::fs::syncfs(&self.root)?;
            self.synced.fetch_max(covered, Ordering::SeqCst);
            Ok(())
        })
    }

    /// Puts a blob's bytes on disk: by a sync of its own, or in a crowd by one for all.
    pub(crate) fn sync_blob(&self, file: &File, path: &Path) -> Result<()> {
        let others = self.settling.fetch_add(1, Ordering::Relaxed);
        let done =
            if others < CROWD { file.sync_all().map_err(Error::io("sync", path)) } else { self.sync() };
        self.settling.fetch_sub(1, Ordering::Relaxed);
        done
    }

    /// Makes the names of blobs durable; callers at the same time share one sync.
    pub(crate) fn sync_blob_names(&self, algorithm: Algorithm) -> Result<()> {
        let [sha256, sha512] = &self.names;
        let group = if algorithm == Algorithm::Sha256 { sha256 } else { sha512 };
        group.sync(|| files::sync_dir(&self.layout.blob_dir(algorithm.as_str())))
    }

    pub(crate) fn uses_overlay(&self) -> bool {
        self.mode == Mode::Auto
            && *self.overlay.get_or_init(|| cooper_sys::overlay::supported(self.session.tmp()).is_ok())
    }

    /// Puts snapshots on the lease.
    pub(crate) fn hold_snapshots<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let objects: Vec<String> = ids.into_iter().map(|id| format!("s {id}")).collect();
        self.session.hold(&self.layout, &objects)
    }

    /// Puts a blob on the lease.
    pub(crate) fn hold_blob(&self, digest: &cooper_oci::Digest) -> Result<()> {
        self.session.hold(&self.layout, &[format!("b {digest}")])
    }

    /// Leaves a mount to the next [`end_mounts`](Store::end_mounts), or to the end of the session.
    pub(crate) fn discard(&self, mount: OwnedFd) {
        if let Ok(mut rubbish) = self.rubbish.lock() {
            rubbish.push(mount);
        }
    }

    /// Must be called before an unsynced change becomes visible.
    pub(crate) fn mark_dirty(&self) -> Result<()> {
        self.dirty.set()
    }

    /// Must be called after an unsynced change became visible.
    pub(crate) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // If this fails the marker stays, and the next boot checks more than it had to.
        let synced = self.synced.load(Ordering::SeqCst) == self.changes.load(Ordering::SeqCst);
        let _ = self.dirty.clear(synced, || Ok(cooper_sys::fs::syncfs(&self.root)?));
    }
}

/// A session's files start in a region of the disk that no other uses. Without a journal, ext4 walks past every inode
/// that was freed in the last minutes whenever it makes a file, and what `tmp` held was freed just now.
fn spread_sessions(layout: &Layout) -> Result<()> {
    let tmp = layout.tmp();
    let dir = File::open(&tmp).map_err(Error::io("open", &tmp))?;
    cooper_sys::fs::spread_subdirectories(&dir)?;
    Ok(())
}

fn make_private_dir(path: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::io("create", path))
}

fn make_dir(path: &Path) -> Result<()> {
    make_private_dir(path)
}

fn check_version(layout: &Layout) -> Result<()> {
    let path = layout.version();
    if let Some(bytes) = files::read_optional(&path)? {
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        if text == VERSION.to_string() {
            return Ok(());
        }
        if !text.is_empty() {
            let path = layout.root().to_owned();
            return Err(Error::StoreVersion { path, found: text, known: VERSION });
        }
    }
    // New, or the power went while it was made.
    let text = format!("{VERSION}\n");
    files::write_atomic(&layout.locks(), layout.root(), "version", &[text.as_bytes()], Durability::PowerCut)
}
