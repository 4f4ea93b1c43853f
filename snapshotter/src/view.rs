//! Reading a root file system: the merged tree of a chain.
//!
//! One layer without whiteouts is its snapshot itself; more are an overlay mount without an upper directory, that no
//! mount table shows and that ends with the view; where overlays do not work, a copy in the temporary directory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cooper_sys::fs::{self, OFlags};
use cooper_sys::{mount, overlay};

use crate::chain::Chain;
use crate::copy;
use crate::error::{Error, Result};
use crate::files;
use crate::roots::RootLook;
use crate::snapshots::Located;
use crate::store::{Inner, Store};

/// A directory in the session's temporary directory, removed with this value.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
    left: bool,
}

impl Scratch {
    pub(crate) fn new(inner: &Inner, prefix: &str) -> Result<Self> {
        Self::at(inner.session.fresh_path(prefix))
    }

    /// One in which many files come and go.
    pub(crate) fn apart(inner: &Inner, prefix: &str) -> Result<Self> {
        Self::at(inner.session.fresh_path_apart(prefix)?)
    }

    fn at(path: PathBuf) -> Result<Self> {
        std::fs::create_dir(&path).map_err(Error::io("create", &path))?;
        Ok(Self { path, left: false })
    }

    /// Leaves the directory to the end of the session.
    pub(crate) fn leave(mut self) {
        self.left = true;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is removed with the session.
        if !self.left {
            let _ = files::remove_tree(&self.path);
        }
    }
}

/// A merged tree to read.
#[derive(Debug)]
pub struct View {
    root: OwnedFd,
    mount: Option<OwnedFd>,
    dir: PathBuf,
    _copy: Option<Scratch>,
    store: Arc<Inner>,
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some(mount) = self.mount.take() {
            self.store.discard(mount);
        }
    }
}

impl View {
    /// The root directory, open for reading. Not to be written to.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// A mount of the tree that is in no mount table yet, read-only, for one sandbox.
    pub fn detached_root(&self) -> Result<OwnedFd> {
        let mount = match &self.mount {
            Some(mount) => detach(mount)?,
            None => mount::clone_path(&self.dir, false)?,
        };
        mount::set_attributes(&mount, mount::Attributes::default().read_only(), false)?;
        Ok(mount)
    }
}

/// A second handle on a detached mount: a clone, or before Linux 6.15 (which cannot clone one) the mount itself.
pub(crate) fn detach(mount: &OwnedFd) -> Result<OwnedFd> {
    if let Ok(clone) = mount::clone_fd(mount, false) {
        return Ok(clone);
    }
    mount.try_clone().map_err(Error::io("duplicate", "the mount of a root file system"))
}

/// The directory behind a mount, open for reading.
pub(crate) fn open_mount(mount: &OwnedFd) -> Result<OwnedFd> {
    Ok(fs::open_at(mount, ".", OFlags::RDONLY | OFlags::DIRECTORY)?)
}

impl Inner {
    /// Whether a stack of so many layers is to be mounted rather than copied.
    pub(crate) fn can_mount(&self, layers: usize) -> bool {
        layers < overlay::MAX_LOWER && self.uses_overlay()
    }

    pub(crate) fn view(self: &Arc<Self>, layers: &[Arc<Located>]) -> Result<View> {
        let stack = self.stack(layers)?;
        let look = RootLook::of_layers(layers);
        let cover = self.root_cover(&stack, look)?;
        let dir = match stack.as_slice() {
            [] => Some(self.layout.empty()),
            [only] if !only.meta.whiteouts && cover.is_none() => Some(only.fs.clone()),
            _ => None,
        };
        if let Some(dir) = dir {
            let root = fs::open_dir(&dir)?;
            return Ok(View { root, mount: None, dir, _copy: None, store: Arc::clone(self) });
        }
        if self.can_mount(stack.len() + 1) {
            let layers = stack.iter().map(|layer| layer.fs.as_path());
            let lower: Vec<&Path> = cover.as_deref().into_iter().chain(layers).collect();
            return self.mounted_view(&lower);
        }
        let copy = Scratch::new(self, "view")?;
        copy::merge(&stack, look, &copy.path)?;
        let root = fs::open_dir(&copy.path)?;
        let dir = copy.path.clone();
        Ok(View { root, mount: None, dir, _copy: Some(copy), store: Arc::clone(self) })
    }
}

impl Inner {
    /// A view of directories, topmost first, by an overlay mount.
    pub(crate) fn mounted_view(self: &Arc<Self>, lower: &[&Path]) -> Result<View> {
        let empty = self.layout.empty();
        let mut lower = lower.to_vec();
        if lower.len() == 1 {
            // A second directory makes it an overlay, which is what hides the whiteouts.
            lower.push(&empty);
        }
        let mount = overlay::mount(&lower, None, overlay::Options::default())?;
        let root = open_mount(&mount)?;
        let dir = PathBuf::new();
        Ok(View { root, mount: Some(mount), dir, _copy: None, store: Arc::clone(self) })
    }
}

impl Store {
    /// The merged tree of a chain, to read. [`Error::SnapshotMissing`] if a layer is not unpacked.
    pub fn view(&self, chain: &Chain) -> Result<View> {
        let layers = self.inner().locate(chain)?;
        self.inner().view(&layers)
    }
}
