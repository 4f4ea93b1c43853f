//! Entries of a layer that lie elsewhere than in its upper directory: everything below one directory.
//!
//! They are treated as if they had been copied into the mounted tree: what equals the layers below is left out, and
//! directories that only lead there are, too.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

use cooper_sys::fs::{self, OFlags};

use crate::error::{Error, Result};
use crate::merged::Merged;
use crate::parts::Parts;
use crate::scan;
use crate::tidy;
use crate::tree::{TreeEntry, TreeKind};

/// Opens the content of a file, again at each call.
pub type Open<'o> = dyn Fn() -> io::Result<Box<dyn Read + 'o>> + 'o;

/// Takes an entry, and of a file with content that.
pub type Take<'t> = dyn FnMut(TreeEntry, Option<&Open<'_>>) -> Result<()> + 't;

/// Entries below one directory.
pub trait Splice: Sync {
    /// That directory, a path without a leading slash. It stands in the upper directory, and is empty there.
    fn at(&self) -> &[u8];

    /// Hands over everything below it in the order of tree manifests: files, directories and symbolic links with their
    /// whole paths. The hash of a content that is known need not be computed again. Ends with the first error of `take`.
    fn entries(&self, take: &mut Take<'_>) -> Result<()>;
}

/// A splice, and what is below its place.
pub(crate) struct Spliced<'s> {
    splice: &'s dyn Splice,
    /// The directory as the layers below have it.
    seen: Option<TreeEntry>,
    below: &'s Merged,
    /// The directory was met.
    met: Cell<bool>,
}

impl<'s> Spliced<'s> {
    pub(crate) fn new(splice: &'s dyn Splice, below: &'s Merged) -> Result<Self> {
        let at = splice.at();
        if at.is_empty() {
            return Err(Error::NotSpliced);
        }
        let (dir, name) = enter(below, at)?;
        let seen = seen(dir.as_ref().unwrap_or(below), name, at)?;
        Ok(Self { splice, seen, below, met: Cell::new(false) })
    }

    pub(crate) fn is_at(&self, entry: &TreeEntry) -> bool {
        entry.path == self.splice.at()
    }

    /// An error if the directory was never met: a layer without its files must not come to be.
    pub(crate) fn check_met(&self) -> Result<()> {
        if self.met.get() { Ok(()) } else { Err(Error::NotSpliced) }
    }

    /// Hands on the directory and everything in it.
    pub(crate) fn emit(&self, top: TreeEntry, parts: &mut dyn Parts) -> Result<()> {
        self.met.set(true);
        let (dir, name) = enter(self.below, &top.path)?;
        let inside = dir.as_ref().unwrap_or(self.below).enter(name)?;
        let depth = components(&top.path);
        let mut merger = Merger { parts, dirs: Vec::new(), depth };
        if self.seen.as_ref() == Some(&top) {
            merger.dirs.push(Dir { inside, waiting: Some(top) });
        } else {
            merger.parts.entry(top)?;
            merger.dirs.push(Dir { inside, waiting: None });
        }
        self.splice.entries(&mut |entry, open| merger.take(entry, open))
    }
}

fn components(path: &[u8]) -> usize {
    path.split(|byte| *byte == b'/').count()
}

/// The merged directory above the last name of a path (`None`: `below` itself), and that name.
fn enter<'p>(below: &Merged, path: &'p [u8]) -> Result<(Option<Merged>, &'p OsStr)> {
    let mut names = path.split(|byte| *byte == b'/').map(OsStr::from_bytes);
    let last = names.next_back().unwrap_or_default();
    let mut dir = None;
    for name in names {
        dir = Some(dir.as_ref().unwrap_or(below).enter(name)?);
    }
    Ok((dir, last))
}

/// The entry of a name as a merged directory has it.
fn seen(dir: &Merged, name: &OsStr, path: &[u8]) -> Result<Option<TreeEntry>> {
    let Some(found) = dir.find(name)? else { return Ok(None) };
    let entry = scan::describe(found.dir, name, &found.stat, path)?;
    Ok(Some(TreeEntry { opaque: false, ..entry }))
}

/// A directory that is being handed over.
struct Dir {
    inside: Merged,
    /// Its entry, which nothing changes until something below it is changed.
    waiting: Option<TreeEntry>,
}

struct Merger<'m> {
    parts: &'m mut dyn Parts,
    dirs: Vec<Dir>,
    /// Components of the path of the first of `dirs`.
    depth: usize,
}

impl Merger<'_> {
    fn take(&mut self, entry: TreeEntry, open: Option<&Open<'_>>) -> Result<()> {
        self.dirs.truncate(components(&entry.path) - self.depth);
        let Some(dir) = self.dirs.last() else { return Err(Error::NotSpliced) };
        let name = OsStr::from_bytes(entry.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default());
        let old = if dir.inside.is_empty() { None } else { seen(&dir.inside, name, &entry.path)? };
        let is_dir = entry.kind == TreeKind::Dir;
        // An error of the copy, which tells it better.
        if old.as_ref().is_some_and(|old| (old.kind == TreeKind::Dir) != is_dir) {
            return Err(Error::NotSpliced);
        }
        let equals = |old: &TreeEntry| *old == TreeEntry { content: None, ..entry.clone() };
        let mut same = old.as_ref().is_some_and(equals);
        if is_dir {
            let inside = if dir.inside.is_empty() { Merged::default() } else { dir.inside.enter(name)? };
            self.dirs.push(Dir { inside, waiting: None });
        } else if same && let Some(open) = open {
            same = self.has_content(name, open)?;
        }
        match (same, is_dir) {
            (true, true) => {
                if let Some(dir) = self.dirs.last_mut() {
                    dir.waiting = Some(entry);
                }
                Ok(())
            }
            (true, false) => Ok(()),
            (false, _) => self.emit(entry, open),
        }
    }

    /// Whether the file of this name in the layers below has this content.
    fn has_content(&self, name: &OsStr, open: &Open<'_>) -> Result<bool> {
        let Some(found) = self.dirs.last().map(|dir| dir.inside.find(name)).transpose()?.flatten() else {
            return Ok(false);
        };
        let mut old = std::fs::File::from(fs::open_at(found.dir, name, OFlags::RDONLY)?);
        let failed = Error::io("read", name);
        open().and_then(|mut new| tidy::equal_streams(&mut new, &mut old)).map_err(failed)
    }

    fn emit(&mut self, entry: TreeEntry, open: Option<&Open<'_>>) -> Result<()> {
        for dir in &mut self.dirs {
            if let Some(waiting) = dir.waiting.take() {
                self.parts.entry(waiting)?;
            }
        }
        if entry.kind != TreeKind::File {
            return self.parts.entry(entry);
        }
        let path = entry.path.clone();
        self.parts.file(entry, &|| match open {
            Some(open) => open().map_err(Error::io("open", OsStr::from_bytes(&path))),
            None => Ok(Box::new(io::empty())),
        })
    }
}
