//! Finding what changed in a plain copy, where there is no overlay to tell.
//!
//! Before the step every name's inode number and change time are written down (one line each, in walking order:
//! `<inode> <seconds>.<nanoseconds> <path in hex>`); the kernel gives no way to set a change time back. Afterwards the
//! tree is walked in the same order beside that list, and what differs is moved into an overlay upper directory:
//! new and changed files by rename, removed names as whiteouts, replaced directories as opaque ones.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::iter::Peekable;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cooper_sys::fs::{self, FileKind, Stat};
use cooper_sys::overlay;

use crate::attrs::Attributes;
use crate::copy::parent_dir;
use crate::error::{Error, Result};
use crate::scan::{self, Found, Visitor};
use crate::tree::{TreeKind, path_order};

/// One name as it was before.
#[derive(Debug)]
struct Before {
    path: Vec<u8>,
    ino: u64,
    ctime: (i64, u32),
}

impl Before {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let ino = words.next()?.parse().ok()?;
        let (seconds, nanos) = words.next()?.split_once('.')?;
        let ctime = (seconds.parse().ok()?, nanos.parse().ok()?);
        let hex = words.next()?;
        let digits = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        let path = (0..hex.len()).step_by(2).map(digits).collect::<Option<Vec<u8>>>()?;
        Some(Self { path, ino, ctime })
    }

    fn is(&self, stat: &Stat) -> bool {
        self.ino == stat.ino && self.ctime == stat.ctime
    }
}

/// Writes down the state of everything below `root`.
pub(crate) fn remember(root: BorrowedFd<'_>, list: &Path) -> Result<()> {
    let mut file = BufWriter::new(File::create(list).map_err(Error::io("create", list))?);
    scan::walk(root, &mut |found: &Found<'_>| {
        let stat = &found.stat;
        write!(file, "{} {}.{:09} ", stat.ino, stat.ctime.0, stat.ctime.1)
            .and_then(|()| found.entry.path.iter().try_for_each(|byte| write!(file, "{byte:02x}")))
            .and_then(|()| file.write_all(b"\n"))
            .map_err(Error::io("write", list))
    })?;
    file.flush().map_err(Error::io("write", list))
}

/// Moves what changed below `root` since `list` was written into the empty directory `upper`.
pub(crate) fn collect(root: BorrowedFd<'_>, list: &Path, upper: &Path) -> Result<()> {
    let upper = fs::open_dir(upper)?;
    let file = BufReader::new(File::open(list).map_err(Error::io("open", list))?);
    let list = list.to_owned();
    let before = file.lines().map(move |line| {
        let line = line.map_err(Error::io("read", &list))?;
        Before::parse(&line).ok_or_else(|| Error::damaged(&list, "a line is malformed"))
    });
    let before: Box<dyn Iterator<Item = Result<Before>>> = Box::new(before);
    let mut collector = Collector {
        upper: upper.as_fd(),
        before: before.peekable(),
        gone: None,
        new_below: None,
        parents: Vec::new(),
    };
    scan::walk(root, &mut collector)?;
    collector.removed_up_to(None)
}

struct Parent {
    path: Vec<u8>,
    attributes: Attributes,
    made: bool,
}

struct Collector<'a> {
    upper: BorrowedFd<'a>,
    before: Peekable<Box<dyn Iterator<Item = Result<Before>>>>,
    /// Names below this removed one need no whiteout.
    gone: Option<Vec<u8>>,
    /// Everything below this directory is new, whatever was there before.
    new_below: Option<Vec<u8>>,
    /// The directories that are being walked.
    parents: Vec<Parent>,
}

fn is_below(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.first() == Some(&b'/'))
}

impl Collector<'_> {
    /// Makes whiteouts of the names that stood before `path` in the list and were not met; of all if `None`.
    fn removed_up_to(&mut self, path: Option<&[u8]>) -> Result<()> {
        loop {
            match self.before.peek() {
                None => return Ok(()),
                Some(Ok(before)) if path.is_some_and(|path| path_order(&before.path, path).is_ge()) => {
                    return Ok(());
                }
                Some(_) => {}
            }
            let Some(before) = self.before.next().transpose()? else { return Ok(()) };
            self.removed(&before)?;
        }
    }

    fn removed(&mut self, before: &Before) -> Result<()> {
        let hidden = |dir: &Option<Vec<u8>>| dir.as_ref().is_some_and(|dir| is_below(&before.path, dir));
        if hidden(&self.gone) || hidden(&self.new_below) {
            return Ok(());
        }
        self.gone = Some(before.path.clone());
        let (dir, name) = self.upper_parent(&before.path)?;
        Ok(fs::mknod_at(&dir, &name, FileKind::CharDevice, 0, 0, 0)?)
    }

    /// The directory in the upper tree for a path, made with the attributes of the original if need be.
    fn upper_parent(&mut self, path: &[u8]) -> Result<(OwnedFd, OsString)> {
        for parent in &mut self.parents {
            if parent.made || !is_below(path, &parent.path) {
                continue;
            }
            let dir = parent_dir(self.upper, &parent.path)?;
            let name = file_name(&parent.path);
            fs::mkdir_at(&dir, name, 0o700)?;
            parent.attributes.apply(dir.as_fd(), name)?;
            parent.made = true;
        }
        Ok((parent_dir(self.upper, path)?, file_name(path).to_owned()))
    }
}

fn file_name(path: &[u8]) -> &OsStr {
    OsStr::from_bytes(path.rsplit(|byte| *byte == b'/').next().unwrap_or_default())
}

impl Visitor for Collector<'_> {
    fn enter(&mut self, found: &Found<'_>) -> Result<()> {
        let path = &found.entry.path;
        self.removed_up_to(Some(path))?;
        let before = match self.before.peek() {
            Some(Ok(before)) if before.path == *path => self.before.next().transpose()?,
            Some(Err(_)) => self.before.next().transpose()?,
            _ => None,
        };
        let inside_new = self.new_below.as_ref().is_some_and(|dir| is_below(path, dir));
        let before = before.filter(|_| !inside_new);
        let changed = before.as_ref().is_none_or(|before| !before.is(&found.stat));
        let is_dir = found.entry.kind == TreeKind::Dir;
        let mut made = false;
        if changed {
            let (dir, name) = self.upper_parent(path)?;
            if is_dir {
                fs::mkdir_at(&dir, &name, 0o700)?;
                let same_dir = before.as_ref().is_some_and(|before| before.ino == found.stat.ino);
                if !same_dir {
                    if before.is_some() {
                        fs::set_xattr_at(&dir, &name, overlay::OPAQUE_XATTR, overlay::OPAQUE_VALUE)?;
                    }
                    if !inside_new {
                        self.new_below = Some(path.clone());
                    }
                }
                Attributes::of_found(found).apply(dir.as_fd(), &name)?;
                made = true;
            } else {
                // What was below a directory of this name went with it.
                self.gone = before.is_some().then(|| path.clone());
                fs::rename_at(found.dir, found.name, &dir, &name)?;
            }
        }
        if is_dir {
            let attributes = Attributes::of_found(found);
            self.parents.push(Parent { path: path.clone(), attributes, made });
        }
        Ok(())
    }

    fn leave(&mut self, found: &Found<'_>) -> Result<()> {
        // All names that were below this directory come before its next sibling in the list.
        loop {
            match self.before.peek() {
                Some(Ok(before)) if is_below(&before.path, &found.entry.path) => {
                    if let Some(before) = self.before.next().transpose()? {
                        self.removed(&before)?;
                    }
                }
                Some(Err(_)) => {
                    self.before.next().transpose()?;
                }
                _ => break,
            }
        }
        let Some(parent) = self.parents.pop() else { return Ok(()) };
        if parent.made {
            let dir = parent_dir(self.upper, &parent.path)?;
            fs::utimens_at(&dir, file_name(&parent.path), parent.attributes.mtime)?;
        }
        Ok(())
    }
}
