//! A root file system in use by a step, and what becomes of it: `prepare` and `commit`.
//!
//! With overlays: `tmp/<session>/active-N/fs` is the upper directory and `work-N/work` the work directory; committing
//! tidies `fs`, writes the manifest beside it and renames the whole. Without: `work-N/merged` is a full copy, and
//! committing sorts what changed in it into `fs` (see `changes`). Mount points of a sandbox are one more lower layer
//! (see `stubs`).

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cooper_sys::fs::{self, Stat};
use cooper_sys::{mount, overlay};

use crate::chain::{Chain, LayerInfo};
use crate::changes;
use crate::copy;
use crate::emit;
use crate::error::{Error, Result};
use crate::merged::Merged;
use crate::meta::{self, Meta};
use crate::roots::RootLook;
use crate::snapshots::Located;
use crate::splice::{Splice, Spliced};
use crate::store::{Inner, Store};
use crate::stubs::{self, Stub, StubLayer};
use crate::tidy;
use crate::view::{self, Scratch, View};

/// A writable root file system. Dropping it throws all changes away.
#[derive(Debug)]
pub struct Active {
    // Order matters: descriptors on the mount, the mount, what lies below, the directories.
    root: OwnedFd,
    mount: Option<OwnedFd>,
    below: Below,
    scratch: Scratch,
    work: Scratch,
    chain: Chain,
    root_stat: Stat,
    store: Arc<Inner>,
}

/// What the step sees where it has changed nothing.
#[derive(Debug)]
enum Below {
    /// Layers, topmost first, with mount points on them.
    Layers { stack: Vec<Arc<Located>>, stubs: Option<Arc<StubLayer>> },
    /// A tree, copied.
    Tree(View),
}

impl Below {
    fn merged(&self) -> Result<Merged> {
        match self {
            Self::Layers { stack, stubs } => {
                let stubs = stubs.as_ref().map(|stubs| stubs.dir());
                Merged::open(stubs.as_deref(), stack.iter().map(|layer| layer.fs.as_path()))
            }
            Self::Tree(view) => {
                let root = view.root().try_clone_to_owned();
                Ok(Merged::single(root.map_err(Error::io("duplicate", "the root of a copied tree"))?))
            }
        }
    }
}

impl Active {
    /// The root directory, open for reading; things in it may be changed.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The upper directory of the overlay, if there is one: what the step makes is really made in it. A directory that
    /// is new in the tree may be filled here, which spares the way through the overlay, until somebody looks into it by
    /// way of [`root`](Self::root).
    pub fn upper(&self) -> Result<Option<OwnedFd>> {
        let upper = || Ok(fs::open_dir(&self.scratch.path.join("fs"))?);
        self.mount.as_ref().map(|_| upper()).transpose()
    }

    /// The layers below.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// A mount of the tree that is in no mount table yet, writable, for one sandbox.
    pub fn detached_root(&self) -> Result<OwnedFd> {
        match &self.mount {
            Some(mount) => view::detach(mount),
            None => Ok(mount::clone_path(&merged_dir(&self.work), false)?),
        }
    }

    /// Ends the mount and leaves the upper directory, as it is, in `fs` of the directory that is handed back.
    pub(crate) fn into_upper(self) -> Result<Scratch> {
        let Self { root, mount, below, scratch, work, root_stat, .. } = self;
        if mount.is_none() {
            let now = fs::fstat(&root)?;
            collect(&root, &Stat { mtime: root_stat.mtime, ..now }, &scratch, &work)?;
        }
        drop((root, mount, below));
        Ok(scratch)
    }
}

fn merged_dir(work: &Scratch) -> PathBuf {
    work.path.join("merged")
}

/// Sorts what changed in a copied tree into an upper directory.
fn collect(root: &OwnedFd, look: &Stat, scratch: &Scratch, work: &Scratch) -> Result<()> {
    let upper = scratch.path.join("fs");
    make_root(&upper, look)?;
    changes::collect(root.as_fd(), &work.path.join("before"), &upper)
}

pub(crate) fn make_dir(path: &Path) -> Result<()> {
    std::fs::create_dir(path).map_err(Error::io("create", path))
}

/// Makes a directory that looks like `stat`.
pub(crate) fn make_root(path: &Path, stat: &Stat) -> Result<OwnedFd> {
    make_dir(path)?;
    let dir = fs::open_dir(path)?;
    dress_root(&dir, stat)?;
    Ok(dir)
}

fn dress_root(dir: &OwnedFd, stat: &Stat) -> Result<()> {
    fs::chown_fd(dir, stat.uid, stat.gid)?;
    fs::chmod_fd(dir, stat.mode)?;
    fs::utimens_at(dir, ".", stat.mtime)?;
    Ok(())
}

impl Store {
    /// A writable root file system on top of a chain, with the given mount points.
    pub fn prepare(&self, chain: &Chain, stubs: &[Stub]) -> Result<Active> {
        let inner = self.inner();
        let layers = inner.locate(chain)?;
        let stack = inner.stack(&layers)?;
        let scratch = Scratch::apart(inner, "active")?;
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&scratch.path, private).map_err(Error::io("chmod", &scratch.path))?;
        let work = Scratch::apart(inner, "work")?;
        let chain = chain.clone();
        let store = Arc::clone(inner);
        if !inner.can_mount(stack.len() + 2) {
            let parents = inner.view(&layers)?;
            let root_stat = fs::fstat(parents.root())?;
            let missing = stubs::missing_stubs(parents.root(), stubs)?;
            let merged = merged_dir(&work);
            let root = make_root(&merged, &root_stat)?;
            copy::merge(&stack, RootLook::of_layers(&layers), &merged)?;
            stubs::place_stubs(root.as_fd(), &missing)?;
            changes::remember(root.as_fd(), &work.path.join("before"))?;
            let below = Below::Tree(parents);
            return Ok(Active { root, mount: None, below, scratch, work, chain, root_stat, store });
        }
        let look = RootLook::of_layers(&layers);
        let empty = inner.layout.empty();
        let mut lower: Vec<&Path> = stack.iter().map(|layer| layer.fs.as_path()).collect();
        let cover = inner.root_cover(&stack, look)?;
        let top = cover.as_deref().or(lower.first().copied()).unwrap_or(&empty);
        let root_stat = fs::fstat(fs::open_path(top)?)?;
        let stub_layer = inner.stub_layer(&lower, &root_stat, stubs)?;
        let stub_dir = stub_layer.as_ref().map(|stubs| stubs.dir());
        if lower.is_empty() {
            lower.push(&empty);
        }
        lower.splice(0..0, stub_dir.as_deref());
        let upper = scratch.path.join("fs");
        make_root(&upper, &root_stat)?;
        let work_dir = work.path.join("work");
        make_dir(&work_dir)?;
        let options = overlay::Options { volatile: true, ..overlay::Options::default() };
        let mount = overlay::mount(&lower, Some((&upper, &work_dir)), options)?;
        let root = view::open_mount(&mount)?;
        let below = Below::Layers { stack, stubs: stub_layer };
        Ok(Active { root, mount: Some(mount), below, scratch, work, chain, root_stat, store })
    }

    /// Makes a layer of what changed. It is visible at once and durable after [`sync`](Self::sync).
    pub fn commit(&self, active: Active) -> Result<LayerInfo> {
        self.commit_to(active, &mut io::sink())
    }

    /// As [`commit`](Self::commit); the layer's tar goes to `sink` meanwhile.
    pub fn commit_to(&self, active: Active, sink: &mut (dyn Write + Send)) -> Result<LayerInfo> {
        let (chain, store) = (active.chain.clone(), Arc::clone(&active.store));
        let (scratch, emitted) = active.emit(None, sink)?;
        let meta = Meta {
            diff_id: emitted.diff_id.clone(),
            epoch: store.epoch,
            self_contained: true,
            whiteouts: emitted.whiteouts,
            root: None,
            made_here: true,
            disk_bytes: emitted.disk_bytes,
            manifest: emitted.tree.manifest.clone(),
        };
        meta::create(&scratch.path, &meta)?;
        let id = emitted.diff_id.hex();
        store.publish(&scratch.path, id, &emitted.diff_id)?;
        if let Some(located) = store.usable(id, &emitted.diff_id)?
            && let Some(chain_id) = chain.with(emitted.diff_id.clone()).id()
        {
            store.remember(&chain_id, located)?;
        }
        self.put_layer(&emitted.info())
    }

    /// Writes what changed, with what `splice` has, as a layer's tar to `sink`, and keeps no snapshot of it: whoever keeps
    /// a form of the layer records that ([`record_blob_form`](Self::record_blob_form)). [`Error::NotSpliced`] if the
    /// two do not go together, for what reason ever: files must then be copied first. `announce` is told how many
    /// bytes the tar will have before the first of them is written, which costs a look at each file; it has others if files
    /// change meanwhile.
    pub fn stream(
        &self,
        active: Active,
        splice: &dyn Splice,
        sink: &mut (dyn Write + Send),
        announce: Option<Announce<'_>>,
    ) -> Result<LayerInfo> {
        let (_, emitted) = active.emit(Some(Spliceable { splice, announce }), sink)?;
        self.put_layer(&emitted.info())
    }
}

impl Active {
    /// Ends the mount and writes the layer's tar; its files stay in the directory that is handed back.
    fn emit(
        self,
        more: Option<Spliceable<'_>>,
        sink: &mut (dyn Write + Send),
    ) -> Result<(Scratch, emit::Emitted)> {
        let Self { root, mount, below, scratch, work, root_stat, .. } = self;
        let copied = mount.is_none();
        if copied {
            collect(&root, &root_stat, &scratch, &work)?;
        }
        let (dir, emitted) = std::thread::scope(|scope| {
            // The end of a mount waits for all processors. Nobody uses it any more, and what it wrote lies in `fs`.
            scope.spawn(move || drop((root, mount)));
            write_layer(&below, &scratch, &root_stat, more, sink)
        })?;
        drop((dir, below));
        if copied {
            drop(work);
        } else {
            // A few empty directories: removed now, they would make all that is created after them slower.
            work.leave();
        }
        Ok((scratch, emitted))
    }
}

/// Is told the bytes of a tar.
pub type Announce<'a> = Box<dyn FnOnce(u64) + Send + 'a>;

/// What belongs to a layer beside its upper directory.
struct Spliceable<'s> {
    splice: &'s dyn Splice,
    announce: Option<Announce<'s>>,
}

/// Tidies the upper directory and writes the manifest beside it.
fn write_layer(
    below: &Below,
    scratch: &Scratch,
    root: &Stat,
    more: Option<Spliceable<'_>>,
    sink: &mut (dyn Write + Send),
) -> Result<(OwnedFd, emit::Emitted)> {
    let dir = fs::open_dir(&scratch.path.join("fs"))?;
    let below = if fs::read_dir(&dir)?.is_empty() { Merged::default() } else { below.merged()? };
    tidy::tidy(dir.as_fd(), &below, more.as_ref().map(|more| more.splice.at()))?;
    let spliced = more.as_ref().map(|more| Spliced::new(more.splice, &below)).transpose()?;
    // No member stands for the root itself, so nothing about it may differ from the parents.
    dress_root(&dir, root)?;
    if let Some(announce) = more.and_then(|more| more.announce) {
        announce(emit::measure_dir(dir.as_fd(), spliced.as_ref())?);
    }
    let emitted = emit::emit_dir(dir.as_fd(), &scratch.path.join("tree"), spliced.as_ref(), sink)?;
    Ok((dir, emitted))
}
