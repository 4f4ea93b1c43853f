//! A root file system in use by a step, and what becomes of it: `prepare` and `commit`.
//!
//! With overlays: `tmp/<session>/active-N/{fs,work}` are upper and work directory; committing tidies `fs`, writes the
//! manifest beside it and renames the whole. Without: `merged` is a full copy, and committing sorts what changed in it
//! into `fs` (see `changes`). Stubs are mount points that a sandbox needs and that must leave no trace: with overlays
//! they are one more lower layer, `stubs`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cooper_sys::fs::{self, OFlags, Stat};
use cooper_sys::{mount, overlay};

use crate::chain::{Chain, LayerInfo};
use crate::changes;
use crate::copy;
use crate::emit;
use crate::error::{Error, Result};
use crate::files;
use crate::meta::{self, Meta};
use crate::roots::RootLook;
use crate::store::{Inner, Store};
use crate::tidy::{self, Below};
use crate::view::{self, Scratch, View};

/// What a mount point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StubKind {
    /// An empty directory, 0755.
    Dir,
    /// An empty file, 0644.
    File,
}

/// A mount point that must be there while the step runs, and does not get into its layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    /// Absolute path in the container; links are followed inside it.
    pub path: PathBuf,
    /// What to make if it is missing.
    pub kind: StubKind,
}

/// A writable root file system. Dropping it throws all changes away.
#[derive(Debug)]
pub struct Active {
    // Order matters: descriptors on the mount, the mount, what lies below, the directories.
    root: OwnedFd,
    mount: Option<OwnedFd>,
    seen: Option<View>,
    parents: View,
    scratch: Scratch,
    chain: Chain,
    root_stat: Stat,
    store: Arc<Inner>,
}

impl Active {
    /// The root directory, open for reading; things in it may be changed.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The tree as it was before the step, without stubs.
    pub fn parents(&self) -> &View {
        &self.parents
    }

    /// The layers below.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// A mount of the tree that is in no mount table yet, writable, for one sandbox.
    pub fn detached_root(&self) -> Result<OwnedFd> {
        match &self.mount {
            Some(mount) => view::detach(mount),
            None => Ok(mount::clone_path(&self.scratch.path.join("merged"), false)?),
        }
    }
}

impl Active {
    /// Ends the mount and leaves the upper directory, as it is, in `fs` of the directory that is handed back.
    pub(crate) fn into_upper(self) -> Result<Scratch> {
        let Self { root, mount, seen, parents, scratch, root_stat, .. } = self;
        if mount.is_none() {
            let upper = scratch.path.join("fs");
            let now = fs::fstat(&root)?;
            make_root(&upper, &Stat { mtime: root_stat.mtime, ..now })?;
            changes::collect(root.as_fd(), &scratch.path.join("before"), &upper)?;
        }
        drop((root, mount, seen, parents));
        drop_leftovers(&scratch.path)?;
        Ok(scratch)
    }
}

/// Removes all but what becomes a snapshot.
fn drop_leftovers(dir: &Path) -> Result<()> {
    for name in ["work", "stubs", "stubs-work", "merged", "before"] {
        files::remove_tree(&dir.join(name))?;
    }
    Ok(())
}

/// Options of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommitOptions {
    /// Times later than this (seconds since 1970) become this: `SOURCE_DATE_EPOCH` with rewritten timestamps.
    pub latest_mtime: Option<i64>,
}

fn make_dir(path: &Path) -> Result<()> {
    std::fs::create_dir(path).map_err(Error::io("create", path))
}

/// Makes a directory that looks like `stat`.
fn make_root(path: &Path, stat: &Stat) -> Result<OwnedFd> {
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
        let parents = inner.view(&layers)?;
        let root_stat = fs::fstat(parents.root())?;
        let scratch = Scratch::new(inner, "active")?;
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&scratch.path, private).map_err(Error::io("chmod", &scratch.path))?;
        let stack = view::stack(&layers);
        let missing = missing_stubs(parents.root(), stubs)?;

        if !inner.can_mount(stack.len() + 2) {
            let merged = scratch.path.join("merged");
            let root = make_root(&merged, &root_stat)?;
            copy::merge(&stack, RootLook::of_layers(&layers), &merged)?;
            place_stubs(root.as_fd(), &missing)?;
            changes::remember(root.as_fd(), &scratch.path.join("before"))?;
            let (mount, seen) = (None, None);
            let (chain, store) = (chain.clone(), Arc::clone(inner));
            return Ok(Active { root, mount, seen, parents, scratch, chain, root_stat, store });
        }

        let empty = inner.layout.empty();
        let mut lower: Vec<&Path> = stack.iter().map(|layer| layer.fs.as_path()).collect();
        if lower.is_empty() {
            lower.push(&empty);
        }
        let stub_dir = scratch.path.join("stubs");
        let mut seen = None;
        if !missing.is_empty() {
            make_root(&stub_dir, &root_stat)?;
            let work = scratch.path.join("stubs-work");
            make_dir(&work)?;
            let options = overlay::Options { volatile: true, ..overlay::Options::default() };
            let mount = overlay::mount(&lower, Some((&stub_dir, &work)), options)?;
            place_stubs(view::open_mount(&mount)?.as_fd(), &missing)?;
            drop(mount);
            fs::utimens_at(&fs::open_dir(&stub_dir)?, ".", root_stat.mtime)?;
            lower.insert(0, &stub_dir);
            seen = Some(inner.mounted_view(&lower)?);
        }
        let upper = scratch.path.join("fs");
        make_root(&upper, &root_stat)?;
        let work = scratch.path.join("work");
        make_dir(&work)?;
        let options = overlay::Options { volatile: true, ..overlay::Options::default() };
        let mount = overlay::mount(&lower, Some((&upper, &work)), options)?;
        let root = view::open_mount(&mount)?;
        let (chain, store) = (chain.clone(), Arc::clone(inner));
        Ok(Active { root, mount: Some(mount), seen, parents, scratch, chain, root_stat, store })
    }

    /// Makes a layer of what changed. It is visible at once and durable after [`sync`](Self::sync).
    pub fn commit(&self, active: Active) -> Result<LayerInfo> {
        self.commit_with(active, CommitOptions::default())
    }

    /// As [`commit`](Self::commit), with options.
    pub fn commit_with(&self, active: Active, options: CommitOptions) -> Result<LayerInfo> {
        let Active { root, mount, seen, parents, scratch, root_stat, store, .. } = active;
        let upper = scratch.path.join("fs");
        let copied = mount.is_none();
        if copied {
            make_root(&upper, &root_stat)?;
            changes::collect(root.as_fd(), &scratch.path.join("before"), &upper)?;
        }
        drop(root);
        drop(mount);
        let dir = fs::open_dir(&upper)?;
        let below = Below {
            parents: Some(parents.root()),
            seen: Some(seen.as_ref().map_or(parents.root(), View::root)),
        };
        tidy::tidy(dir.as_fd(), below)?;
        drop(seen);
        if let Some(latest) = options.latest_mtime {
            tidy::clamp_times(dir.as_fd(), latest)?;
        }
        // No member stands for the root itself, so nothing about it may differ from the parents.
        dress_root(&dir, &root_stat)?;
        drop(parents);
        let emitted = emit::emit_dir(dir.as_fd(), &scratch.path.join("tree"), std::io::sink())?;
        drop(dir);
        drop_leftovers(&scratch.path)?;
        let meta = Meta {
            diff_id: emitted.diff_id.clone(),
            epoch: store.epoch,
            self_contained: true,
            whiteouts: emitted.whiteouts,
            root: None,
            made_here: true,
            disk_bytes: emitted.disk_bytes,
            manifest: emitted.tree.manifest,
        };
        meta::write(store.session.tmp(), &scratch.path, &meta)?;
        store.publish(&scratch.path, emitted.diff_id.hex(), &emitted.diff_id)?;
        let info = LayerInfo {
            diff_id: emitted.diff_id,
            size_bytes: emitted.size_bytes,
            content: emitted.tree.content,
            entries: emitted.tree.count,
            blobs: Vec::new(),
        };
        self.put_layer(&info)?;
        Ok(self.layer(&info.diff_id)?.unwrap_or(info))
    }
}

/// Symbolic links followed for one mount point, as the kernel does (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// The stubs that are not there, by resolving them as the sandbox will.
fn missing_stubs(root: BorrowedFd<'_>, stubs: &[Stub]) -> Result<Vec<Stub>> {
    let mut missing = Vec::new();
    for stub in stubs {
        match fs::resolve_in_root(root, &stub.path, OFlags::empty()) {
            Ok(_) => {}
            Err(error) if error.is_not_found() => missing.push(stub.clone()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(missing)
}

/// Makes stubs and their parents; directories that get new names in them keep their times.
fn place_stubs(root: BorrowedFd<'_>, stubs: &[Stub]) -> Result<()> {
    for stub in stubs {
        let wanted = if stub.kind == StubKind::Dir { Some(stub.path.as_path()) } else { stub.path.parent() };
        let wanted = wanted.unwrap_or(Path::new("/"));
        // The deepest directory that exists gets a new name.
        let mut existing = wanted;
        let keeper = loop {
            match fs::open_in_root(root, existing, OFlags::RDONLY | OFlags::DIRECTORY, 0) {
                Ok(dir) => break Some(dir),
                Err(error) if error.is_not_found() => match existing.parent() {
                    Some(parent) => existing = parent,
                    None => break None,
                },
                Err(error) => return Err(error.into()),
            }
        };
        let before = keeper.as_ref().map(fs::fstat).transpose()?;
        let dir = fs::mkdir_all_in_root(root, wanted, 0o755, |_, _| Ok(()))?;
        if stub.kind == StubKind::File {
            make_stub_file(root, &dir, &stub.path, MAX_LINKS)?;
        }
        if let (Some(keeper), Some(before)) = (keeper, before) {
            fs::utimens_at(&keeper, ".", before.mtime)?;
        }
    }
    Ok(())
}

fn make_stub_file(root: BorrowedFd<'_>, dir: &OwnedFd, path: &Path, links: u32) -> Result<()> {
    let Some(name) = path.file_name() else { return Err(Error::BadName(path.display().to_string())) };
    match fs::create_file_at(dir, name, 0o644) {
        Ok(file) => Ok(fs::chmod_fd(&file, 0o644)?),
        // Made by an earlier stub, or a link into nothing: make what it points to.
        Err(error) if error.is_exists() => {
            match fs::open_in_root(root, path, OFlags::RDWR | OFlags::CREATE, 0o644) {
                Err(error) if error.is_not_found() && links > 0 => {
                    let target = path.with_file_name(fs::readlink_at(dir, name)?);
                    let parent = target.parent().unwrap_or(Path::new("/"));
                    let dir = fs::mkdir_all_in_root(root, parent, 0o755, |_, _| Ok(()))?;
                    make_stub_file(root, &dir, &target, links - 1)
                }
                Err(error) => Err(error.into()),
                Ok(_) => Ok(()),
            }
        }
        Err(error) => Err(error.into()),
    }
}
