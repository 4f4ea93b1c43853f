//! Runs of small layers as one directory, so that a mount of a deep stack stays cheap and within the kernel's limit.
//!
//! A pack is an overlay's layer in form: whiteouts and opaque directories of the run are kept in it. Its files are
//! further names (hard links) of the snapshots' own. It lies in the session's temporary directory and is only mounted
//! from there; what is committed, exported or checked is always the layers.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex};

use cooper_sys::fs::{self, FileKind};
use cooper_sys::overlay;

use crate::active::make_root;
use crate::attrs::Attributes;
use crate::copy;
use crate::error::{Error, Result};
use crate::scan::{self, Found, Visitor};
use crate::snapshots::Located;
use crate::store::Inner;
use crate::tree::TreeKind;
use crate::view::Scratch;

/// A stack with more layers than this gets packs.
const DEEP: usize = 64;
/// Layers of one pack; so many or more at the top stay as they are.
const RUN: usize = 32;
/// Layers larger than this in bytes stay as they are: so many links would cost more than they save.
const SMALL_BYTES: u64 = 16 << 20;

/// The packs of a session, by a digest of the snapshots in them.
pub(crate) type Packs = Mutex<HashMap<blake3::Hash, Pack>>;

/// One pack.
#[derive(Debug)]
pub(crate) struct Pack {
    located: Arc<Located>,
    _scratch: Scratch,
}

impl Inner {
    /// The directories to stack, topmost first, each once. A layer that comes twice counts where it is highest: there
    /// it hides or repeats all that it says further down.
    pub(crate) fn stack(&self, layers: &[Arc<Located>]) -> Result<Vec<Arc<Located>>> {
        let mut stack = self.packed(layers, SMALL_BYTES)?;
        if stack.len() + 2 >= overlay::MAX_LOWER {
            stack = self.packed(layers, u64::MAX)?;
        }
        let mut seen = HashSet::new();
        stack.reverse();
        stack.retain(|layer| seen.insert(layer.id.clone()));
        Ok(stack)
    }

    /// The same layers, base first, with packs in place of runs of small ones.
    fn packed(&self, layers: &[Arc<Located>], small_bytes: u64) -> Result<Vec<Arc<Located>>> {
        if layers.len() <= DEEP {
            return Ok(layers.to_vec());
        }
        // Places are counted from the base: there a stage that grows keeps its packs.
        let packed = (layers.len() / RUN - 1) * RUN;
        let mut out = Vec::new();
        for run in layers[..packed].chunks(RUN) {
            for part in run.chunk_by(|a, b| [a, b].iter().all(|layer| layer.meta.disk_bytes <= small_bytes)) {
                match part {
                    [only] => out.push(Arc::clone(only)),
                    part => out.push(self.pack(part)?),
                }
            }
        }
        out.extend_from_slice(&layers[packed..]);
        Ok(out)
    }

    fn pack(&self, run: &[Arc<Located>]) -> Result<Arc<Located>> {
        let mut key = blake3::Hasher::new();
        for layer in run {
            key.update(layer.id.as_bytes());
        }
        let key = key.finalize();
        // Held while one is made: whoever else needs it would make the same.
        let mut packs = self.packs.lock().map_err(|_| Error::Poisoned)?;
        if let Some(known) = packs.get(&key) {
            return Ok(Arc::clone(&known.located));
        }
        let top = run.last().ok_or(Error::Poisoned)?;
        let scratch = Scratch::new(self, "pack")?;
        let dir = scratch.path.join("fs");
        let look = fs::fstat(fs::open_path(&top.fs)?)?;
        let root = make_root(&dir, &look)?;
        for layer in run {
            let source = fs::open_dir(&layer.fs)?;
            scan::walk(source.as_fd(), &mut Packer { target: root.as_fd() })?;
        }
        fs::utimens_at(&root, ".", look.mtime)?;
        let mut meta = top.meta.clone();
        meta.whiteouts = true;
        let located = Arc::new(Located { id: format!("pack-{}", key.to_hex()), fs: dir, meta });
        packs.insert(key, Pack { located: Arc::clone(&located), _scratch: scratch });
        Ok(located)
    }
}

/// Puts one layer on top of a pack.
struct Packer<'a> {
    target: BorrowedFd<'a>,
}

impl Visitor for Packer<'_> {
    fn enter(&mut self, found: &Found<'_>) -> Result<()> {
        let entry = &found.entry;
        let dir = copy::parent_dir(self.target, &entry.path)?;
        let dir = dir.as_fd();
        let below = match fs::stat_at(dir, found.name) {
            Ok(stat) => Some(stat),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        if entry.kind != TreeKind::Dir {
            if below.is_some() {
                fs::remove_tree_at(dir, found.name)?;
            }
            return link(found, dir);
        }
        let merges = below.as_ref().is_some_and(|stat| stat.kind == FileKind::Dir) && !entry.opaque;
        if !merges {
            if below.is_some() {
                fs::remove_tree_at(dir, found.name)?;
            }
            fs::mkdir_at(dir, found.name, 0o700)?;
            // On a whiteout or a file, a directory hides what lies further down.
            if entry.opaque || below.is_some() {
                fs::set_xattr_at(dir, found.name, overlay::OPAQUE_XATTR, overlay::OPAQUE_VALUE)?;
            }
        }
        Attributes::of(entry).apply(dir, found.name)
    }

    fn leave(&mut self, found: &Found<'_>) -> Result<()> {
        let dir = copy::parent_dir(self.target, &found.entry.path)?;
        fs::utimens_at(&dir, found.name, found.entry.mtime)?;
        Ok(())
    }
}

/// One more name for a file; a copy of it where the filesystem has given out all that it can.
fn link(found: &Found<'_>, dir: BorrowedFd<'_>) -> Result<()> {
    let name: &OsStr = found.name;
    if fs::link_at(found.dir, name, dir, name).is_ok() {
        return Ok(());
    }
    copy::create(found, dir, name)?;
    match found.entry.kind {
        TreeKind::Whiteout => Ok(()),
        _ => Attributes::of(&found.entry).apply(dir, name),
    }
}
