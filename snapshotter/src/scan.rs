//! Walking an unpacked layer in the order of tree manifests.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use cooper_sys::fs::{self, FileKind, OFlags, Stat};
use cooper_sys::overlay;

use crate::error::Result;
use crate::tree::{TreeEntry, TreeKind};
use crate::xattrs::{self, Said};

/// One entry that was found, and where.
pub(crate) struct Found<'a> {
    /// All but the hash of the content.
    pub(crate) entry: TreeEntry,
    pub(crate) stat: Stat,
    pub(crate) dir: BorrowedFd<'a>,
    pub(crate) name: &'a OsStr,
}

impl Found<'_> {
    /// Opens a regular file for reading.
    pub(crate) fn open(&self) -> Result<OwnedFd> {
        Ok(fs::open_at(self.dir, self.name, OFlags::RDONLY)?)
    }
}

/// What a walk is told to do.
pub(crate) trait Visitor {
    /// An entry; a directory comes before what is in it.
    fn enter(&mut self, found: &Found<'_>) -> Result<()>;
    /// All entries of a directory were visited.
    fn leave(&mut self, _found: &Found<'_>) -> Result<()> {
        Ok(())
    }
}

impl<F: FnMut(&Found<'_>) -> Result<()>> Visitor for F {
    fn enter(&mut self, found: &Found<'_>) -> Result<()> {
        self(found)
    }
}

/// Walks everything below `root`. Sockets are skipped: no layer can hold them. Of several names of one file, all
/// but the first become hard links. Takes one descriptor and one stack frame for each level of depth.
pub(crate) fn walk(root: BorrowedFd<'_>, visitor: &mut dyn Visitor) -> Result<()> {
    Walk { links: HashMap::new(), path: Vec::new(), visitor }.dir(root)
}

struct Walk<'v> {
    links: HashMap<(u64, u64), Vec<u8>>,
    path: Vec<u8>,
    visitor: &'v mut dyn Visitor,
}

impl Walk<'_> {
    fn dir(&mut self, dir: BorrowedFd<'_>) -> Result<()> {
        for item in fs::read_dir_sorted(dir)? {
            if item.kind == FileKind::Socket {
                continue;
            }
            let length = self.path.len();
            if length > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(item.name.as_bytes());
            let stat = fs::stat_at(dir, &item.name)?;
            let mut entry = describe(dir, &item.name, &stat, &self.path)?;
            if stat.nlink > 1 && !matches!(entry.kind, TreeKind::Dir | TreeKind::Symlink | TreeKind::Whiteout)
            {
                match self.links.get(&(stat.dev, stat.ino)) {
                    Some(first) => {
                        entry.kind = TreeKind::HardLink;
                        entry.link.clone_from(first);
                        entry.size = 0;
                        entry.device = (0, 0);
                    }
                    None => {
                        self.links.insert((stat.dev, stat.ino), self.path.clone());
                    }
                }
            }
            let is_dir = entry.kind == TreeKind::Dir;
            let found = Found { entry, stat, dir, name: &item.name };
            self.visitor.enter(&found)?;
            if is_dir {
                let child = fs::open_at(dir, &item.name, OFlags::RDONLY | OFlags::DIRECTORY)?;
                self.dir(child.as_fd())?;
                self.visitor.leave(&found)?;
            }
            self.path.truncate(length);
        }
        Ok(())
    }
}

/// The entry for one name, hard links apart.
pub(crate) fn describe(dir: BorrowedFd<'_>, name: &OsStr, stat: &Stat, path: &[u8]) -> Result<TreeEntry> {
    if overlay::is_whiteout(stat) {
        return Ok(TreeEntry::new(path, TreeKind::Whiteout));
    }
    let kind = match stat.kind {
        FileKind::Dir => TreeKind::Dir,
        FileKind::Symlink => TreeKind::Symlink,
        FileKind::CharDevice => TreeKind::CharDevice,
        FileKind::BlockDevice => TreeKind::BlockDevice,
        FileKind::Fifo => TreeKind::Fifo,
        FileKind::File | FileKind::Socket => TreeKind::File,
    };
    let Said { attributes, owner: (uid, gid), opaque } = xattrs::of(dir, name, stat)?;
    let mut entry = TreeEntry {
        mode: if kind == TreeKind::Symlink { 0o777 } else { stat.mode },
        uid,
        gid,
        mtime: stat.mtime,
        xattrs: attributes,
        ..TreeEntry::new(path, kind)
    };
    match kind {
        TreeKind::File => entry.size = stat.size,
        TreeKind::Symlink => entry.link = fs::readlink_at(dir, name)?.into_vec(),
        TreeKind::CharDevice | TreeKind::BlockDevice => entry.device = (stat.rdev_major, stat.rdev_minor),
        TreeKind::Dir => entry.opaque = opaque,
        TreeKind::Fifo | TreeKind::HardLink | TreeKind::Whiteout => {}
    }
    Ok(entry)
}
