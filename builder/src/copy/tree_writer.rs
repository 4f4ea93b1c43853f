//! Writing one selected tree: directories as the walk enters them, files, links and nodes, each with its attributes.
//!
//! A file that is in the way is removed first, so that its other names keep their content. Holds one descriptor a
//! level; resolves a path only for the second name of a file with several.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use cooper_sys::fs::{self, FileKind, OFlags, Stat};

use super::CopyError;
use super::error::{Doing as _, rooted};
use super::resolve::join;
use super::source::Files;
use super::walk::{Item, Role, Visitor};
use super::write::Writer;

/// Up to this size a read and a write are cheaper than asking the kernel for a clever copy.
const SMALL_BYTES: u64 = 64 << 10;

/// Makes an empty file; one that is in the way, or a link, is removed first.
pub(super) fn create(dir: BorrowedFd<'_>, name: &OsStr, path: &[u8]) -> Result<OwnedFd, CopyError> {
    match fs::create_file_at(dir, name, 0o600) {
        Err(e) if e.is_exists() => {
            clear(dir, name, path)?;
            fs::create_file_at(dir, name, 0o600)
        }
        other => other,
    }
    .doing("create", path)
}

/// Removes a file that is in the way of one.
fn clear(dir: BorrowedFd<'_>, name: &OsStr, path: &[u8]) -> Result<(), CopyError> {
    if fs::stat_at(dir, name).doing("stat", path)?.is_dir() {
        return Err(CopyError::FileOverDirectory { path: rooted(path) });
    }
    fs::unlink_at(dir, name).doing("remove", path)
}

/// Makes a node by `make`, a second time if a file was in its way.
fn replace(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    path: &[u8],
    make: impl Fn() -> cooper_sys::Result<()>,
) -> Result<(), CopyError> {
    match make() {
        Err(e) if e.is_exists() => {
            clear(dir, name, path)?;
            make()
        }
        other => other,
    }
    .doing("create", path)
}

/// Copies the tree of one match.
pub(super) struct TreeWriter<'c, 'w> {
    writer: &'c mut Writer<'w>,
    files: &'c Files,
    /// The directory above the top.
    parent: OwnedFd,
    /// Path of the top in the image; empty for its root.
    top: Vec<OsString>,
    dirs: Vec<Made>,
    /// Files with several names, by device and inode: where the first one went.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// Content of the small file at hand.
    buffer: Vec<u8>,
}

struct Made {
    dir: OwnedFd,
    new: bool,
}

impl<'c, 'w> TreeWriter<'c, 'w> {
    /// Will write at `top`, a path without links in the image; `parent` is the directory above it.
    pub fn new(writer: &'c mut Writer<'w>, files: &'c Files, parent: OwnedFd, top: Vec<OsString>) -> Self {
        TreeWriter { writer, files, parent, top, dirs: Vec::new(), links: HashMap::new(), buffer: Vec::new() }
    }

    fn dest_path(&self, item: &Item<'_>) -> Vec<u8> {
        let mut path = join(&self.top);
        if !item.relative.is_empty() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(item.relative);
        }
        path
    }

    /// Name in the directory at hand.
    fn dest_name(&self, item: &Item<'_>) -> OsString {
        match (item.relative.is_empty(), self.top.last()) {
            (true, Some(name)) => name.clone(),
            (true, None) => ".".into(),
            (false, _) => item.name.to_owned(),
        }
    }

    fn regular(&mut self, item: &Item<'_>, name: &OsStr, path: &[u8]) -> Result<(), CopyError> {
        let key = (item.stat.dev, item.stat.ino);
        if item.stat.nlink > 1 {
            if let Some(first) = self.links.get(&key).cloned()
                && self.link(&first, name, path)?
            {
                return Ok(());
            }
            self.links.insert(key, path.to_vec());
        }
        let from = fs::open_at(item.parent, item.name, OFlags::RDONLY).doing("open", item.path)?;
        let mut from = File::from(from);
        let before = fs::fstat(&from).doing("stat", item.path)?;
        let changed = || CopyError::Changed { path: rooted(item.path) };
        if !same_content(&before, item.stat) || !self.files.hasher.is_current(item.path, &before) {
            return Err(changed());
        }
        let dir = self.dirs.last().map_or(self.parent.as_fd(), |made| made.dir.as_fd());
        let mut to = File::from(create(dir, name, path)?);
        let has_holes = before.blocks * 512 < before.size;
        let copied = if before.size <= SMALL_BYTES && !has_holes {
            self.buffer.clear();
            let copied = (&mut from).take(SMALL_BYTES + 1).read_to_end(&mut self.buffer);
            let copied = copied.and_then(|_| to.write_all(&self.buffer));
            copied.map_err(|e| cooper_sys::Error::at("copy", item.name, e)).doing("copy", item.path)?;
            self.buffer.len() as u64
        } else {
            fs::copy_file(&from, &to, before.size).doing("copy", item.path)?
        };
        if copied != before.size
            || (self.files.client && !same_content(&fs::fstat(&from).doing("stat", item.path)?, &before))
        {
            return Err(changed());
        }
        self.writer.report.bytes += copied;
        Ok(())
    }

    /// Makes another name for a file copied before; false if the filesystem wants no more of them.
    fn link(&self, first: &[u8], name: &OsStr, path: &[u8]) -> Result<bool, CopyError> {
        let at = first.iter().rposition(|b| *b == b'/');
        let (above, first_name) = at.map_or((&b""[..], first), |at| (&first[..at], &first[at + 1..]));
        let from = fs::resolve_in_root(
            self.writer.target.root,
            OsStr::from_bytes(above),
            OFlags::DIRECTORY | OFlags::NOFOLLOW,
        )
        .doing("open", above)?;
        let dir = self.dirs.last().map_or(self.parent.as_fd(), |made| made.dir.as_fd());
        let make = || fs::link_at(&from, OsStr::from_bytes(first_name), dir, name);
        let made = match make() {
            Err(e) if e.is_exists() => {
                clear(dir, name, path)?;
                make()
            }
            other => other,
        };
        const EMLINK: i32 = 31;
        match made {
            Err(e) if e.errno() == EMLINK => Ok(false),
            other => other.doing("link", path).map(|()| true),
        }
    }
}

fn same_content(a: &Stat, b: &Stat) -> bool {
    (a.kind, a.dev, a.ino, a.size, a.mtime) == (b.kind, b.dev, b.ino, b.size, b.mtime)
}

impl Visitor for TreeWriter<'_, '_> {
    fn enter(&mut self, item: &Item<'_>, role: Role) -> Result<(), CopyError> {
        self.writer.check_cancelled()?;
        let path = self.dest_path(item);
        let name = self.dest_name(item);
        let above = self.dirs.last().map_or(self.parent.as_fd(), |made| made.dir.as_fd());
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let mut new = false;
        if name != "." {
            match fs::mkdir_at(above, &name, 0o700) {
                Ok(()) => new = true,
                Err(e) if e.is_exists() => {
                    if !fs::stat_at(above, &name).doing("stat", &path)?.is_dir() {
                        return Err(CopyError::DirectoryOverFile { path: rooted(&path) });
                    }
                }
                Err(e) => return Err(e).doing("make the directory", &path),
            }
        }
        let dir = fs::open_at(above, &name, flags).doing("open", &path)?;
        if role == Role::Parent && new {
            self.writer.attributes(above, &name, &path, item)?;
        } else if role == Role::Parent {
            fs::chmod_at(above, &name, item.stat.mode).doing("change the mode of", &path)?;
        }
        self.dirs.push(Made { dir, new });
        Ok(())
    }

    fn leave(&mut self, item: &Item<'_>, role: Role) -> Result<(), CopyError> {
        let Some(made) = self.dirs.pop() else { return Ok(()) };
        let path = self.dest_path(item);
        let name = self.dest_name(item);
        let above = self.dirs.last().map_or(self.parent.as_fd(), |made| made.dir.as_fd());
        match role {
            Role::Selected => self.writer.attributes(above, &name, &path, item),
            Role::Top if made.new => self.writer.attributes(above, &name, &path, item),
            Role::Top => {
                let time = self.writer.options.file_time.unwrap_or(item.stat.mtime);
                fs::utimens_at(&made.dir, ".", time).doing("set the time of", &path)
            }
            Role::Parent => Ok(()),
        }
    }

    fn file(&mut self, item: &Item<'_>) -> Result<(), CopyError> {
        self.writer.check_cancelled()?;
        let path = self.dest_path(item);
        let name = self.dest_name(item);
        if name == "." {
            return Err(CopyError::FileOverDirectory { path: "/".into() });
        }
        let stat = item.stat;
        if stat.is_file() {
            self.regular(item, &name, &path)?;
        } else {
            let dir = self.dirs.last().map_or(self.parent.as_fd(), |made| made.dir.as_fd());
            let target = match stat.kind {
                FileKind::Symlink => {
                    Some(fs::readlink_at(item.parent, item.name).doing("read the link", item.path)?)
                }
                _ => None,
            };
            replace(dir, &name, &path, || match (&target, stat.kind) {
                (Some(target), _) => fs::symlink_at(target, dir, &name),
                // Nobody listens on a copied socket: an empty file stands for it.
                (None, FileKind::Socket) => fs::create_file_at(dir, &name, 0o600).map(drop),
                (None, kind) => fs::mknod_at(dir, &name, kind, 0o600, stat.rdev_major, stat.rdev_minor),
            })?;
        }
        let dir = self.dirs.last().map_or(self.parent.as_fd(), |made| made.dir.as_fd());
        self.writer.attributes(dir, &name, &path, item)?;
        self.writer.report.files += 1;
        Ok(())
    }
}
