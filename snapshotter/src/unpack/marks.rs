//! Members that are marks: whiteouts and opaque directories.
//!
//! A mark concerns what lies below the archive, never what the archive brings itself, in whatever order they come.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cooper_sys::fs::{self, FileKind, OFlags};
use cooper_sys::overlay;

use super::engine::{Engine, Outcome, Tree, open_dir, os, stat};
use super::names::{self, Place};
use crate::error::Result;

impl Engine<'_> {
    pub(super) fn whiteout(&mut self, place: &Place) -> Result<Outcome> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let parents = self.tree == (Tree::Upper { parents: true });
        if self.tree == Tree::Merged || !parents {
            // Nothing to hide in a directory that does not exist.
            match fs::open_in_root(self.root, Path::new(os(&place.parent)), flags, 0) {
                Err(error) if error.is_not_found() => return Ok(Outcome::Done),
                _ => {}
            }
        }
        let Some(dir) = self.open_parent(&place.parent, (0, 0))? else { return Ok(Outcome::NeedsParents) };
        let dir = dir.as_fd();
        let name = os(&place.name);
        let existing = stat(dir, name)?;
        self.parent = None;
        if self.tree == Tree::Merged {
            let path = names::join(&self.path_of(dir, &place.parent), &place.name);
            match existing {
                Some(_) if !self.made.contains(&key(&path)) => fs::remove_tree_at(dir, name)?,
                Some(stat) if stat.is_dir() => self.empty(open_dir(dir, name)?.as_fd(), &path)?,
                None | Some(_) => {}
            }
            return Ok(Outcome::Done);
        }
        match existing {
            None => fs::mknod_at(dir, name, FileKind::CharDevice, 0, 0, 0)?,
            // This layer brings the name itself; only what is below it is hidden.
            Some(stat) if stat.is_dir() => {
                fs::set_xattr_at(dir, name, overlay::OPAQUE_XATTR, overlay::OPAQUE_VALUE)?;
            }
            Some(_) => {}
        }
        Ok(Outcome::Done)
    }

    pub(super) fn opaque(&mut self, dir: &[u8]) -> Result<Outcome> {
        if dir.is_empty() && self.tree == (Tree::Upper { parents: true }) {
            // The overlay knows no opaque root.
            return Ok(Outcome::NeedsParents);
        }
        let Some(fd) = self.open_parent(dir, (0, 0))? else { return Ok(Outcome::NeedsParents) };
        if self.tree == Tree::Merged {
            self.parent = None;
            let readable = fs::open_at(&fd, ".", OFlags::RDONLY | OFlags::DIRECTORY)?;
            let path = self.path_of(fd.as_fd(), dir);
            self.empty(readable.as_fd(), &path)?;
        } else if dir.is_empty() {
            // A snapshot with this mark must not be shared with chains that have something below.
            self.implicit = true;
        } else {
            fs::set_xattr_fd(&fd, overlay::OPAQUE_XATTR, overlay::OPAQUE_VALUE)?;
        }
        Ok(Outcome::Done)
    }

    /// Removes everything in a directory of a merged tree that this archive did not bring.
    fn empty(&mut self, dir: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        for item in fs::read_dir(dir)? {
            let below = names::join(path, item.name.as_bytes());
            if !self.made.contains(&key(&below)) {
                fs::remove_tree_at(dir, &item.name)?;
            } else if item.kind == FileKind::Dir {
                self.empty(open_dir(dir, &item.name)?.as_fd(), &below)?;
            }
        }
        Ok(())
    }

    /// Remembers that this archive brought a name.
    pub(super) fn mark(&mut self, dir: BorrowedFd<'_>, place: &Place) {
        let path = names::join(&self.path_of(dir, &place.parent), &place.name);
        self.made.insert(key(&path));
    }

    /// Remembers that this archive has something in a directory, so that marks do not remove it.
    pub(super) fn mark_ancestors(&mut self, path: &[u8]) {
        let mut end = path.len();
        while end > 0 && self.made.insert(key(&path[..end])) {
            end = path[..end].iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        }
    }
}

fn key(path: &[u8]) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(path).as_bytes()[..16]);
    key
}
