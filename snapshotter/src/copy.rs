//! Merging layers without the kernel's overlay: a plain copy of all of them.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use cooper_sys::fs::{self, FileKind, OFlags};

use crate::attrs::Attributes;
use crate::error::{Error, Result};
use crate::roots::RootLook;
use crate::scan::{self, Found, Visitor};
use crate::snapshots::Located;
use crate::tree::{TreeEntry, TreeKind};

/// Copies a stack of layers (topmost first) into the empty directory `target`, as an overlay would show them.
pub(crate) fn merge(stack: &[Arc<Located>], look: RootLook, target: &Path) -> Result<()> {
    let target = fs::open_dir(target)?;
    for layer in stack.iter().rev() {
        let source = fs::open_dir(&layer.fs)?;
        scan::walk(source.as_fd(), &mut Copier { target: target.as_fd() })?;
        fs::utimens_at(&target, ".", fs::fstat(&source)?.mtime)?;
    }
    fs::chown_fd(&target, look.uid, look.gid)?;
    fs::chmod_fd(&target, look.mode)?;
    Ok(())
}

struct Copier<'a> {
    target: BorrowedFd<'a>,
}

/// The directory in which `path` lies; every part of it is a real directory.
pub(crate) fn parent_dir(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let parent = Path::new(OsStr::from_bytes(&path[..end]));
    Ok(fs::open_in_root(root, parent, OFlags::RDONLY | OFlags::DIRECTORY, 0)?)
}

impl Visitor for Copier<'_> {
    fn enter(&mut self, found: &Found<'_>) -> Result<()> {
        let entry = &found.entry;
        let dir = parent_dir(self.target, &entry.path)?;
        let dir = dir.as_fd();
        let existing = match fs::stat_at(dir, found.name) {
            Ok(stat) => Some(stat.kind),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        let keep = entry.kind == TreeKind::Dir && existing == Some(FileKind::Dir) && !entry.opaque;
        if existing.is_some() && !keep {
            fs::remove_tree_at(dir, found.name)?;
        }
        match entry.kind {
            TreeKind::Whiteout => return Ok(()),
            TreeKind::HardLink => {
                let from = parent_dir(self.target, &entry.link)?;
                let name = entry.link.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                fs::link_at(&from, OsStr::from_bytes(name), dir, found.name)?;
                return Ok(());
            }
            TreeKind::Dir if keep => {}
            _ => create(found, dir, found.name)?,
        }
        Attributes::of(entry).apply(dir, found.name)
    }

    fn leave(&mut self, found: &Found<'_>) -> Result<()> {
        let dir = parent_dir(self.target, &found.entry.path)?;
        fs::utimens_at(&dir, found.name, found.entry.mtime)?;
        Ok(())
    }
}

/// Makes a copy of a file (not its attributes) as `name` in `dir`.
pub(crate) fn create(found: &Found<'_>, dir: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    if found.entry.kind == TreeKind::File {
        let from = found.open()?;
        let to = fs::create_file_at(dir, name, 0o600)?;
        let copied = fs::copy_file(&from, &to, found.entry.size)?;
        if copied != found.entry.size {
            return Err(Error::damaged(
                OsStr::from_bytes(&found.entry.path),
                "the file changed while it was read",
            ));
        }
        return Ok(());
    }
    create_node(&found.entry, dir, name)
}

/// Makes anything but a regular file or a hard link.
pub(crate) fn create_node(entry: &TreeEntry, dir: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    let (major, minor) = entry.device;
    match entry.kind {
        TreeKind::Dir => fs::mkdir_at(dir, name, 0o700)?,
        TreeKind::Symlink => fs::symlink_at(OsStr::from_bytes(&entry.link), dir, name)?,
        TreeKind::CharDevice => fs::mknod_at(dir, name, FileKind::CharDevice, 0o600, major, minor)?,
        TreeKind::BlockDevice => fs::mknod_at(dir, name, FileKind::BlockDevice, 0o600, major, minor)?,
        TreeKind::Fifo => fs::mkfifo_at(dir, name, 0o600)?,
        TreeKind::Whiteout => fs::mknod_at(dir, name, FileKind::CharDevice, 0, 0, 0)?,
        TreeKind::File | TreeKind::HardLink => {
            return Err(Error::damaged(OsStr::from_bytes(&entry.path), "not a special file"));
        }
    }
    Ok(())
}
