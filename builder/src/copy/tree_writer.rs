//! Writing one selected tree: directories as the walk enters them, what is in them by a crew of threads.
//!
//! A file with several names is written by the walker itself, so that its first name is there when the next one comes.
//! Holds two descriptors a level; resolves a path only for the second name of a file with several.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use cooper_sys::fs::{self, OFlags};

use super::CopyError;
use super::crew::{Above, BATCH, Batch, Crew, Dir, End, FileJob};
use super::error::{Doing as _, rooted};
use super::resolve::join;
use super::walk::{Item, Role, Visitor};
use super::write_file::{Spot, clear};

/// Copies the tree of one match.
pub(super) struct TreeWriter<'c, 'scope, 'env> {
    crew: &'c mut Crew<'scope, 'env>,
    image: Image<'c>,
    /// The directory above the top.
    parent: OwnedFd,
    /// Path of the top in the image; empty for its root.
    top: Vec<OsString>,
    /// The top was made just now.
    top_is_new: bool,
    dirs: Vec<Open>,
    /// Files with several names, by device and inode: where the first one went.
    links: HashMap<(u64, u64), Vec<u8>>,
}

/// Where the image can be written.
#[derive(Clone, Copy)]
pub(super) struct Image<'i> {
    /// Its root.
    pub root: BorrowedFd<'i>,
    /// As [`CopyOptions::upper`](super::CopyOptions::upper).
    pub upper: Option<BorrowedFd<'i>>,
}

/// A directory that the walk is in.
struct Open {
    dir: Arc<Dir>,
    waiting: Vec<FileJob>,
    /// It is that of the upper directory.
    direct: bool,
}

impl<'c, 'scope, 'env> TreeWriter<'c, 'scope, 'env> {
    /// Will write at `top`, a path without links in the image; `parent` is the directory above it.
    pub fn new(
        crew: &'c mut Crew<'scope, 'env>,
        image: Image<'c>,
        parent: OwnedFd,
        top: Vec<OsString>,
        top_is_new: bool,
    ) -> Self {
        TreeWriter { crew, image, parent, top, top_is_new, dirs: Vec::new(), links: HashMap::new() }
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

    /// The directory at hand.
    fn dest_dir(&self) -> BorrowedFd<'_> {
        self.dirs.last().map_or(self.parent.as_fd(), |open| open.dir.to.as_fd())
    }

    /// Writes a file at once, or links it to an earlier name.
    fn now(&mut self, item: &Item<'_>) -> Result<(), CopyError> {
        let (path, name) = (self.dest_path(item), self.dest_name(item));
        if item.stat.is_file() && item.stat.nlink > 1 {
            let key = (item.stat.dev, item.stat.ino);
            if let Some(first) = self.links.get(&key)
                && self.link(first, &name, &path)?
            {
                self.crew.shared().count_link();
                return Ok(());
            }
            self.links.insert(key, path.clone());
        }
        let shared = self.crew.shared();
        let to = self.dirs.last().map_or(self.parent.as_fd(), |open| open.dir.to.as_fd());
        let spot = Spot {
            from: item.parent,
            from_name: item.name,
            from_path: item.path,
            to,
            name: &name,
            path: &path,
            stat: item.stat,
        };
        shared.write(spot, &mut self.crew.copier)
    }

    /// Makes another name for a file copied before; false if the filesystem wants no more of them.
    fn link(&self, first: &[u8], name: &OsStr, path: &[u8]) -> Result<bool, CopyError> {
        let at = first.iter().rposition(|b| *b == b'/');
        let (above, first_name) = at.map_or((&b""[..], first), |at| (&first[..at], &first[at + 1..]));
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
        // Both names must be reached through the same mount. What was written through the overlay is in its upper
        // directory too.
        let direct = self.dirs.last().is_some_and(|open| open.direct);
        let root = self.image.upper.filter(|_| direct).unwrap_or(self.image.root);
        let from = fs::resolve_in_root(root, OsStr::from_bytes(above), flags).doing("open", above)?;
        let dir = self.dest_dir();
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

impl Visitor for TreeWriter<'_, '_, '_> {
    fn enter(&mut self, item: &Item<'_>, role: Role) -> Result<(), CopyError> {
        let shared = self.crew.shared();
        shared.dress.check_cancelled()?;
        let path = self.dest_path(item);
        let name = self.dest_name(item);
        let duplicate = |fd: BorrowedFd<'_>| {
            let failed = |e| cooper_sys::Error::at("open", OsStr::from_bytes(&path), e);
            fd.try_clone_to_owned().map_err(failed).doing("open", &path)
        };
        let above = match self.dirs.last() {
            Some(open) => Above::Dir(Arc::clone(&open.dir)),
            None => Above::There(duplicate(self.parent.as_fd())?),
        };
        let mut new = false;
        if name != "." {
            match fs::mkdir_at(above.to(), &name, 0o700) {
                Ok(()) => new = true,
                Err(e) if e.is_exists() => {
                    if !fs::stat_at(above.to(), &name).doing("stat", &path)?.is_dir() {
                        return Err(CopyError::DirectoryOverFile { path: rooted(&path) });
                    }
                }
                Err(e) => return Err(e).doing("make the directory", &path),
            }
        }
        let is_new = new || (role == Role::Top && self.top_is_new);
        let direct = self.dirs.last().is_some_and(|open| open.direct);
        let to = match self.image.upper.filter(|_| is_new && !direct) {
            Some(upper) => {
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
                fs::resolve_in_root(upper, OsStr::from_bytes(&path), flags)
            }
            None => fs::open_at(above.to(), &name, OFlags::PATH | OFlags::DIRECTORY),
        }
        .doing("open", &path)?;
        let direct = direct || (is_new && self.image.upper.is_some());
        let from = duplicate(item.dir.unwrap_or(item.parent))?;
        if role == Role::Parent && new {
            let xattrs = shared.xattrs(from.as_fd(), item.path)?;
            shared.dress.give(above.to(), &name, &path, item.stat, &xattrs)?;
        } else if role == Role::Parent {
            fs::chmod_at(above.to(), &name, item.stat.mode).doing("change the mode of", &path)?;
        }
        let end = match role {
            Role::Selected => End::Dress,
            Role::Top if new => End::Dress,
            Role::Top => End::Time,
            Role::Parent => End::Nothing,
        };
        let from_path = item.path.to_vec();
        let dir = Dir { from, from_path, to, path, above, name, stat: *item.stat, end };
        self.dirs.push(Open { dir: Arc::new(dir), waiting: Vec::new(), direct });
        Ok(())
    }

    fn leave(&mut self, _: &Item<'_>, _: Role) -> Result<(), CopyError> {
        let Some(Open { dir, waiting, .. }) = self.dirs.pop() else { return Ok(()) };
        if !waiting.is_empty() {
            self.crew.submit(Batch { dir: Arc::clone(&dir), files: waiting })?;
        }
        self.crew.release(dir)
    }

    fn file(&mut self, item: &Item<'_>) -> Result<(), CopyError> {
        let several_names = item.stat.is_file() && item.stat.nlink > 1;
        let Some(open) = self.dirs.last_mut().filter(|_| !several_names && !item.relative.is_empty()) else {
            if self.dest_name(item) == "." {
                return Err(CopyError::FileOverDirectory { path: "/".into() });
            }
            return self.now(item);
        };
        open.waiting.push(FileJob { name: item.name.to_owned(), stat: *item.stat });
        if open.waiting.len() < BATCH {
            return Ok(());
        }
        let files = std::mem::take(&mut open.waiting);
        let dir = Arc::clone(&open.dir);
        self.crew.submit(Batch { dir, files })
    }
}
