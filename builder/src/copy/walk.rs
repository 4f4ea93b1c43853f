//! One walk over a selected tree, for hashing and copying alike: decides what belongs to the selection, in which order,
//! and which directories are only there for what is below them.
//!
//! Holds one descriptor a level; never resolves a path twice; the order is that of the bytes of the names.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use cooper_frontend::dockerignore::{Matcher, ParentInfo};
use cooper_sys::fs::{self, DirEntry, OFlags, Stat};

use super::CopyError;
use super::error::Doing as _;
use super::include::Include;
use super::source::Files;

/// What of a tree is selected.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Only what matches, and what is below it (`--parents`).
    pub include: Option<Include>,
    /// All but what matches (`--exclude`).
    pub exclude: Option<Matcher>,
}

/// A file or directory on the walk.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    /// Path below the top of the walk; empty for the top.
    pub relative: &'a [u8],
    /// Path below the source's root, without links.
    pub path: &'a [u8],
    /// The directory it lies in. Of no use for the root itself.
    pub parent: BorrowedFd<'a>,
    /// Its name in `parent`.
    pub name: &'a OsStr,
    /// A directory itself.
    pub dir: Option<BorrowedFd<'a>>,
    /// Attributes.
    pub stat: &'a Stat,
}

/// Why a directory is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is the top of the walk.
    Top,
    /// It is selected.
    Selected,
    /// Something below it is selected.
    Parent,
}

/// Receives what is selected: parents before children, each `enter` with its `leave`.
pub(crate) trait Visitor {
    fn enter(&mut self, dir: &Item<'_>, role: Role) -> Result<(), CopyError>;
    fn leave(&mut self, dir: &Item<'_>, role: Role) -> Result<(), CopyError>;
    fn file(&mut self, file: &Item<'_>) -> Result<(), CopyError>;
}

struct Frame {
    dir: OwnedFd,
    name: OsString,
    stat: Stat,
    entries: std::vec::IntoIter<DirEntry>,
    matched: Matched,
    selected: bool,
    /// Not hidden, or something below it is not.
    exists: bool,
    entered: bool,
    relative_length: usize,
    path_length: usize,
}

/// What the patterns said about a directory, for its children.
#[derive(Default)]
struct Matched {
    ignore: ParentInfo,
    include: ParentInfo,
    exclude: ParentInfo,
}

/// Walks the tree (or single file) at `top`, a path without links below the root.
pub(crate) fn walk(
    files: &Files,
    top: &[u8],
    rules: &Rules,
    visitor: &mut dyn Visitor,
) -> Result<(), CopyError> {
    let (parent, name, stat) = find(files, top)?;
    let mut walk = Walk {
        files,
        rules,
        visitor,
        top_parent: parent,
        frames: Vec::new(),
        relative: Vec::new(),
        path: top.to_vec(),
    };
    if stat.is_dir() {
        walk.run(name, stat)
    } else {
        let item =
            Item { relative: b"", path: top, parent: walk.top_parent.as_fd(), name, dir: None, stat: &stat };
        walk.visitor.file(&item)
    }
}

/// The directory that the top of a walk lies in, its name there, and its attributes.
pub(crate) fn find<'t>(files: &Files, top: &'t [u8]) -> Result<(OwnedFd, &'t OsStr, Stat), CopyError> {
    let (parent, name) = match top.iter().rposition(|b| *b == b'/') {
        Some(at) => (&top[..at], &top[at + 1..]),
        None => (&b""[..], top),
    };
    let parent = fs::resolve_in_root(files.root(), OsStr::from_bytes(parent), OFlags::DIRECTORY)
        .doing("open", parent)?;
    let name = if name.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(name) };
    let stat = match name.as_bytes() {
        b"." => fs::fstat(&parent),
        _ => fs::stat_at(&parent, name),
    }
    .doing("stat", top)?;
    Ok((parent, name, stat))
}

struct Walk<'w> {
    files: &'w Files,
    rules: &'w Rules,
    visitor: &'w mut dyn Visitor,
    top_parent: OwnedFd,
    frames: Vec<Frame>,
    /// Path of the entry at hand below the top.
    relative: Vec<u8>,
    /// Path of the entry at hand below the root.
    path: Vec<u8>,
}

impl Walk<'_> {
    fn run(&mut self, name: &OsStr, stat: Stat) -> Result<(), CopyError> {
        let (hidden, ignore) = self.ignored_above();
        let matched = Matched { ignore, ..Matched::default() };
        self.push(name.to_owned(), stat, matched, true)?;
        if !hidden {
            self.settle(true)?;
        }
        while let Some(frame) = self.frames.last_mut() {
            let (relative_length, path_length) = (frame.relative_length, frame.path_length);
            self.relative.truncate(relative_length);
            self.path.truncate(path_length);
            match frame.entries.next() {
                Some(entry) => self.entry(&entry.name)?,
                None => self.pop()?,
            }
        }
        Ok(())
    }

    /// What the ignore patterns say about the top and the directories above it.
    fn ignored_above(&self) -> (bool, ParentInfo) {
        let mut answer = (false, ParentInfo::default());
        if let Some(ignore) = &self.files.ignore
            && !self.path.is_empty()
        {
            let ends = self.path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
            for end in ends.chain([self.path.len()]) {
                answer = ignore.enter(&self.path[..end], &answer.1);
            }
        }
        answer
    }

    fn entry(&mut self, name: &OsStr) -> Result<(), CopyError> {
        let Some(frame) = self.frames.last() else { return Ok(()) };
        for path in [&mut self.relative, &mut self.path] {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name.as_bytes());
        }
        let stat = match fs::stat_at(&frame.dir, name) {
            // Gone since the directory was read.
            Err(e) if e.is_not_found() => return Ok(()),
            other => other.doing("stat", &self.path)?,
        };
        if stat.is_dir() { self.directory(name, stat) } else { self.file(name, &stat) }
    }

    fn file(&mut self, name: &OsStr, stat: &Stat) -> Result<(), CopyError> {
        let Some(frame) = self.frames.last() else { return Ok(()) };
        let hit = |matcher: Option<&Matcher>, path: &[u8], parent: &ParentInfo| {
            matcher.is_some_and(|matcher| matcher.matches(path, parent))
        };
        if hit(self.files.ignore.as_deref(), &self.path, &frame.matched.ignore) {
            return Ok(());
        }
        let included = self.rules.include.as_ref().map(|include| &include.matcher);
        let selected = (included.is_none() || hit(included, &self.relative, &frame.matched.include))
            && !hit(self.rules.exclude.as_ref(), &self.relative, &frame.matched.exclude);
        self.settle(selected)?;
        if selected && let Some(frame) = self.frames.last() {
            let item = Item {
                relative: &self.relative,
                path: &self.path,
                parent: frame.dir.as_fd(),
                name,
                dir: None,
                stat,
            };
            self.visitor.file(&item)?;
        }
        Ok(())
    }

    fn directory(&mut self, name: &OsStr, stat: Stat) -> Result<(), CopyError> {
        let Some(frame) = self.frames.last() else { return Ok(()) };
        let enter = |matcher: Option<&Matcher>, path: &[u8], parent: &ParentInfo| {
            matcher.map(|matcher| matcher.enter(path, parent)).unwrap_or_default()
        };
        let above = &frame.matched;
        let (hidden, ignore) = enter(self.files.ignore.as_deref(), &self.path, &above.ignore);
        if hidden && !self.files.may_show_below(&self.path) {
            return Ok(());
        }
        let rule = self.rules.include.as_ref();
        let (included, include) = enter(rule.map(|include| &include.matcher), &self.relative, &above.include);
        let included = included || rule.is_none();
        let (excluded, exclude) = enter(self.rules.exclude.as_ref(), &self.relative, &above.exclude);
        let reincluded = |exclude: &Matcher| !excluded || exclude.may_have_reincluded_below(&self.relative);
        let may_select_below = self.rules.exclude.as_ref().is_none_or(reincluded)
            && (included || rule.is_some_and(|include| include.may_match_below(&self.relative)));
        let selected = included && !excluded;
        if !hidden && !selected && !may_select_below {
            // It is there, which may decide about a hidden parent, but neither it nor its content is wanted.
            return self.settle(false);
        }
        self.push(name.to_owned(), stat, Matched { ignore, include, exclude }, selected)?;
        if hidden { Ok(()) } else { self.settle(selected) }
    }

    fn push(
        &mut self,
        name: OsString,
        stat: Stat,
        matched: Matched,
        selected: bool,
    ) -> Result<(), CopyError> {
        let parent = self.frames.last().map_or(self.top_parent.as_fd(), |frame| frame.dir.as_fd());
        let dir = fs::open_at(parent, &name, OFlags::RDONLY | OFlags::DIRECTORY).doing("open", &self.path)?;
        let entries = fs::read_dir_sorted(&dir).doing("read the directory", &self.path)?.into_iter();
        self.frames.push(Frame {
            dir,
            name,
            stat,
            entries,
            matched,
            selected,
            exists: false,
            entered: false,
            relative_length: self.relative.len(),
            path_length: self.path.len(),
        });
        Ok(())
    }

    fn pop(&mut self) -> Result<(), CopyError> {
        if self.frames.last().is_some_and(|frame| frame.entered) {
            let at = self.frames.len() - 1;
            let (item, role) = item_at(&self.frames, at, &self.top_parent, &self.relative, &self.path);
            self.visitor.leave(&item, role)?;
        }
        self.frames.pop();
        Ok(())
    }

    /// Something visible was found below all open directories, so that they exist; `selected` says that it belongs to
    /// the selection. Enters those that were waiting for it.
    fn settle(&mut self, selected: bool) -> Result<(), CopyError> {
        for frame in self.frames.iter_mut().rev().take_while(|frame| !frame.exists) {
            frame.exists = true;
        }
        let wanted = |frame: &Frame| selected || frame.selected;
        let Some(last) = self.frames.iter().rposition(|frame| !frame.entered && wanted(frame)) else {
            return Ok(());
        };
        let first = self.frames[..=last].iter().rposition(|frame| frame.entered).map_or(0, |at| at + 1);
        for at in first..=last {
            let (item, role) = item_at(&self.frames, at, &self.top_parent, &self.relative, &self.path);
            self.visitor.enter(&item, role)?;
            self.frames[at].entered = true;
        }
        Ok(())
    }
}

fn item_at<'a>(
    frames: &'a [Frame],
    at: usize,
    top_parent: &'a OwnedFd,
    relative: &'a [u8],
    path: &'a [u8],
) -> (Item<'a>, Role) {
    let frame = &frames[at];
    let parent = if at == 0 { top_parent.as_fd() } else { frames[at - 1].dir.as_fd() };
    let item = Item {
        relative: &relative[..frame.relative_length],
        path: &path[..frame.path_length],
        parent,
        name: &frame.name,
        dir: Some(frame.dir.as_fd()),
        stat: &frame.stat,
    };
    let role = match (at, frame.selected) {
        (0, _) => Role::Top,
        (_, true) => Role::Selected,
        (_, false) => Role::Parent,
    };
    (item, role)
}
