//! Mount points that a sandbox needs and that must leave no trace: a private lower layer of directories and files.
//!
//! Which of them are missing, and what the directories look like in which they are put, is found out without a mount.
//! As steps of one stage mostly agree on that, a layer is kept in the session's temporary directory and used again.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use cooper_sys::fs::{self, OFlags, Stat};
use cooper_sys::overlay;

use crate::active::{make_dir, make_root};
use crate::error::{Error, Result};
use crate::merged::Merged;
use crate::store::Inner;
use crate::view::{self, Scratch};

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

/// Layers of mount points that can be used again.
pub(crate) type StubLayers = Mutex<Vec<Arc<StubLayer>>>;

/// So many are kept.
const KEPT: usize = 16;
/// Symbolic links followed for one mount point, as the kernel does (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// A directory with mount points, fit for a certain place.
#[derive(Debug)]
pub(crate) struct StubLayer {
    plan: Plan,
    scratch: Scratch,
}

impl StubLayer {
    pub(crate) fn dir(&self) -> PathBuf {
        self.scratch.path.join("stubs")
    }
}

/// What has to be made, and what the directories around it look like.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    root: Look,
    missing: Vec<Stub>,
    around: Vec<(PathBuf, Look)>,
}

/// All of a directory that a copy of it repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, u32),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Look {
    fn new(stat: &Stat) -> Self {
        Self { mode: stat.mode, owner: (stat.uid, stat.gid), mtime: stat.mtime, xattrs: Vec::new() }
    }
}

impl Inner {
    /// The layer with those mount points that a stack of layers (topmost first) lacks; `None` if it has all.
    pub(crate) fn stub_layer(
        self: &Arc<Self>,
        stack: &[&Path],
        root: &Stat,
        stubs: &[Stub],
    ) -> Result<Option<Arc<StubLayer>>> {
        if stubs.is_empty() {
            return Ok(None);
        }
        let Some(plan) = plan(stack, root, stubs)? else {
            // Links are best resolved by the kernel.
            let missing = missing_stubs(self.mounted_view(stack)?.root(), stubs)?;
            let plan = Plan { root: Look::new(root), missing, around: Vec::new() };
            return if plan.missing.is_empty() {
                Ok(None)
            } else {
                self.make_stubs(stack, root, plan).map(Some)
            };
        };
        if plan.missing.is_empty() {
            return Ok(None);
        }
        // Held while one is made: whoever else needs it would make the same.
        let mut kept = self.stub_layers.lock().map_err(|_| Error::Poisoned)?;
        if let Some(known) = kept.iter().find(|known| known.plan == plan) {
            return Ok(Some(Arc::clone(known)));
        }
        let made = self.make_stubs(stack, root, plan)?;
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push(Arc::clone(&made));
        Ok(Some(made))
    }

    /// The kernel copies the directories around the mount points.
    fn make_stubs(&self, stack: &[&Path], root: &Stat, plan: Plan) -> Result<Arc<StubLayer>> {
        let scratch = Scratch::new(self, "stubs")?;
        let dir = scratch.path.join("stubs");
        make_root(&dir, root)?;
        let work = scratch.path.join("work");
        make_dir(&work)?;
        let empty = self.layout.empty();
        let lower = if stack.is_empty() { &[empty.as_path()] } else { stack };
        let options = overlay::Options { volatile: true, ..overlay::Options::default() };
        let mount = overlay::mount(lower, Some((&dir, &work)), options)?;
        place_stubs(view::open_mount(&mount)?.as_fd(), &plan.missing)?;
        drop(mount);
        fs::utimens_at(&fs::open_dir(&dir)?, ".", root.mtime)?;
        Ok(Arc::new(StubLayer { plan, scratch }))
    }
}

/// Looks at every part of every path. `None` if one is a link, or no directory where one has to be.
fn plan(stack: &[&Path], root: &Stat, stubs: &[Stub]) -> Result<Option<Plan>> {
    let top = Merged::open(None, stack.iter().copied())?;
    let mut plan = Plan { root: Look::new(root), missing: Vec::new(), around: Vec::new() };
    for stub in stubs {
        let mut below: Option<Merged> = None;
        let mut path = PathBuf::from("/");
        let mut parts = stub.path.components().peekable();
        while let Some(part) = parts.next() {
            let name = match part {
                Component::RootDir | Component::CurDir => continue,
                Component::Normal(name) => name,
                Component::ParentDir | Component::Prefix(_) => return Ok(None),
            };
            let here = below.as_ref().unwrap_or(&top);
            let Some(found) = here.find(name)? else {
                plan.missing.push(stub.clone());
                break;
            };
            path.push(name);
            if found.stat.is_dir() {
                if !plan.around.iter().any(|(known, _)| *known == path) {
                    plan.around.push((path.clone(), look(found.dir, name, &found.stat)?));
                }
            } else if !found.stat.is_file() || parts.peek().is_some() {
                return Ok(None);
            }
            below = Some(here.enter(name)?);
        }
    }
    Ok(Some(plan))
}

fn look(dir: BorrowedFd<'_>, name: &OsStr, stat: &Stat) -> Result<Look> {
    let mut xattrs = fs::list_xattrs_at(dir, name)?;
    xattrs.retain(|(key, _)| !key.starts_with(overlay::XATTR_PREFIX.as_bytes()));
    Ok(Look { xattrs, ..Look::new(stat) })
}

/// The stubs that are not there, by resolving them as the sandbox will.
pub(crate) fn missing_stubs(root: BorrowedFd<'_>, stubs: &[Stub]) -> Result<Vec<Stub>> {
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
pub(crate) fn place_stubs(root: BorrowedFd<'_>, stubs: &[Stub]) -> Result<()> {
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
