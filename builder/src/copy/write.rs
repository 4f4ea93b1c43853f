//! Writing a selection into a root filesystem.
//!
//! Where what is written lands, and what becomes of files that are there already, follows BuildKit to the letter:
//! the top directory keeps its own attributes and takes only the time of the source, directories below it take all
//! attributes of the source, directories that are only there for what is below them (`--parents`) are changed in
//! nothing but their mode.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use cooper_frontend::gopath;
use cooper_frontend::graph::{CopyOp, InlineFile, SourceKind};
use cooper_sys::fs::{self, FileKind, OFlags, Stat, Timestamp};

use super::archive::{self, Unpacker};
use super::chmod::ModeChange;
use super::error::{Doing as _, rooted};
use super::resolve::join;
use super::select::{Content, Match, Selection};
use super::source::{Files, Kind};
use super::target::{Place, Target, directory_part};
use super::walk::{Item, Role, Rules, Visitor, walk};
use super::{CopyError, xattrs};

/// How to copy, beside what the instruction says.
#[derive(Clone, Copy, Default)]
pub struct CopyOptions<'o> {
    /// `--chown`, resolved.
    pub owner: Option<(u32, u32)>,
    /// Time of directories made on the way and of inline files; `None` leaves them new.
    pub parent_time: Option<Timestamp>,
    /// Time of everything that is copied; `None` keeps the source's.
    pub file_time: Option<Timestamp>,
    /// Unpacks archives (ADD); without it they are copied as files.
    pub unpacker: Option<&'o dyn Unpacker>,
    /// Asked between files; true ends the copy.
    pub cancelled: Option<&'o (dyn Fn() -> bool + Sync)>,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Files, links and nodes; members of archives not counted.
    pub files: u64,
    /// Bytes of regular files.
    pub bytes: u64,
    /// Extended attributes that the target would not take.
    pub lost_xattrs: u64,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Copies a selection to the destination of `op` below `dest_root`: the mounted root filesystem of the stage, or an
/// empty directory for `--link`.
pub fn copy(
    selection: &Selection,
    dest_root: BorrowedFd<'_>,
    op: &CopyOp,
    options: &CopyOptions<'_>,
) -> Result<CopyReport, CopyError> {
    let mode = op.chmod.as_ref().map(ModeChange::new).transpose()?;
    let mut writer = Writer {
        target: Target {
            root: dest_root,
            parent_mode: mode.as_ref().map_or(0o755, ModeChange::of_parents),
            owner: options.owner,
            parent_time: options.parent_time,
            made: Vec::new(),
        },
        mode,
        options,
        keeps_owner: selection.keeps_owner(),
        kind: selection.kind,
        report: CopyReport::default(),
    };
    match &selection.content {
        Content::Inline(file) => writer.inline(file, &op.dest)?,
        Content::Files { tree, matches, rules } => {
            if let Kind::Files(files) = &tree.0 {
                let several = op.sources.len() > 1 || matches.len() > 1;
                for found in matches {
                    writer.one(files, found, rules, &op.dest, several)?;
                }
            }
        }
    }
    writer.target.finish()?;
    Ok(writer.report)
}

struct Writer<'w> {
    target: Target<'w>,
    mode: Option<ModeChange>,
    options: &'w CopyOptions<'w>,
    keeps_owner: bool,
    kind: SourceKind,
    report: CopyReport,
}

impl Writer<'_> {
    /// Copies one match. Its place is looked up anew: an earlier match may have made it.
    fn one(
        &mut self,
        files: &Files,
        found: &Match,
        rules: &Rules,
        dest: &str,
        several: bool,
    ) -> Result<(), CopyError> {
        let is_dir = found.stat.is_dir();
        if self.unpack(files, found, dest)? {
            return Ok(());
        }
        let contents_only = !matches!(self.kind, SourceKind::Git | SourceKind::Http { .. });
        let (parent, place) = self.prepare(dest, is_dir, contents_only, &found.named)?;
        if several && !is_dir && place.kind != Some(FileKind::Dir) && !place.inside {
            self.report.warnings.push(format!(
                "several sources are copied to the one file {:?}, where the last one stays: end the destination in a \
                 slash to make it a directory",
                rooted(&join(&place.parts))
            ));
        }
        let mut copier =
            Copier { writer: self, files, parent, top: place.parts, dirs: Vec::new(), links: HashMap::new() };
        walk(files, &found.path, rules, &mut copier)
    }

    /// Makes the directories above the place where the source goes; returns the last of them, and the place.
    fn prepare(
        &mut self,
        dest: &str,
        is_dir: bool,
        contents_only: bool,
        named: &[u8],
    ) -> Result<(OwnedFd, Landing), CopyError> {
        let above = self.target.locate(directory_part(dest).as_bytes())?;
        self.target.make_dirs(&above.parts)?;
        let Place { mut parts, mut kind } = self.target.locate(dest.as_bytes())?;
        let inside = !is_dir && kind == Some(FileKind::Dir);
        if inside {
            parts.push(OsStr::from_bytes(gopath::base(named)).to_owned());
            kind = None;
        }
        if is_dir && contents_only && kind.is_none() {
            self.target.make_dirs(&parts)?;
            kind = Some(FileKind::Dir);
        }
        let above = parts.len().saturating_sub(1);
        let parent = self.target.make_dirs(&parts[..above])?;
        Ok((parent, Landing { parts, kind, inside }))
    }

    fn unpack(&mut self, files: &Files, found: &Match, dest: &str) -> Result<bool, CopyError> {
        let wanted = matches!(self.kind, SourceKind::UnpackIfArchive | SourceKind::Http { unpack: true });
        let Some(unpacker) = self.options.unpacker.filter(|_| wanted && found.stat.is_file()) else {
            return Ok(false);
        };
        let Some(open) = archive::detect(files, &found.path)? else { return Ok(false) };
        // --chmod has no part in it, not even for the directories on the way.
        let parent_mode = std::mem::replace(&mut self.target.parent_mode, 0o755);
        let place = self.target.locate(dest.as_bytes())?;
        let dir = self.target.make_dirs(&place.parts)?;
        self.target.parent_mode = parent_mode;
        let mut stream = open.stream()?;
        unpacker
            .unpack(&mut stream, dir.as_fd(), self.options.owner)
            .map_err(|source| CopyError::Unpack { path: rooted(&found.named), source })?;
        Ok(true)
    }

    fn inline(&mut self, file: &InlineFile, dest: &str) -> Result<(), CopyError> {
        let (parent, place) = self.prepare(dest, false, false, file.name.as_bytes())?;
        let path = join(&place.parts);
        let Some(name) = place.parts.last() else {
            return Err(CopyError::FileOverDirectory { path: "/".into() });
        };
        let created = create(parent.as_fd(), name, &path)?;
        std::fs::File::from(created)
            .write_all(&file.content)
            .map_err(|e| cooper_sys::Error::at("write", OsStr::from_bytes(&path), e))
            .doing("write", &path)?;
        let (uid, gid) = self.options.owner.unwrap_or((0, 0));
        fs::chown_at(&parent, name, uid, gid).doing("change the owner of", &path)?;
        let mode = self.mode.as_ref().map_or(file.mode, |change| change.apply(file.mode, false));
        fs::chmod_at(&parent, name, mode).doing("change the mode of", &path)?;
        if let Some(time) = self.options.file_time.or(self.options.parent_time) {
            fs::utimens_at(&parent, name, time).doing("set the time of", &path)?;
        }
        self.report.files += 1;
        self.report.bytes += file.content.len() as u64;
        Ok(())
    }

    /// Owner, mode, extended attributes and time, in the order in which the kernel lets them stand.
    fn attributes(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        path: &[u8],
        item: &Item<'_>,
    ) -> Result<(), CopyError> {
        let stat = item.stat;
        let own = if self.keeps_owner { (stat.uid, stat.gid) } else { (0, 0) };
        let (uid, gid) = self.options.owner.unwrap_or(own);
        fs::chown_at(dir, name, uid, gid).doing("change the owner of", path)?;
        if !stat.is_symlink() {
            let old = if matches!(self.kind, SourceKind::Http { .. }) { 0o600 } else { stat.mode };
            let mode = self.mode.as_ref().map_or(old, |change| change.apply(old, stat.is_dir()));
            fs::chmod_at(dir, name, mode).doing("change the mode of", path)?;
        }
        if self.keeps_owner {
            for (key, value) in xattrs::of(item)? {
                if fs::set_xattr_at(dir, name, OsStr::from_bytes(&key), &value).is_err() {
                    self.report.lost_xattrs += 1;
                }
            }
        }
        let time = self.options.file_time.unwrap_or(stat.mtime);
        fs::utimens_at(dir, name, time).doing("set the time of", path)
    }

    fn check_cancelled(&self) -> Result<(), CopyError> {
        match self.options.cancelled {
            Some(cancelled) if cancelled() => Err(CopyError::Cancelled),
            _ => Ok(()),
        }
    }
}

/// Where a source goes.
struct Landing {
    parts: Vec<OsString>,
    kind: Option<FileKind>,
    /// Into an existing directory under its own name.
    inside: bool,
}

/// Makes an empty file; one that is in the way, or a link, is removed first.
fn create(dir: BorrowedFd<'_>, name: &OsStr, path: &[u8]) -> Result<OwnedFd, CopyError> {
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
struct Copier<'c, 'w> {
    writer: &'c mut Writer<'w>,
    files: &'c Files,
    /// The directory above the top.
    parent: OwnedFd,
    /// Path of the top in the image; empty for its root.
    top: Vec<OsString>,
    dirs: Vec<Made>,
    /// Files with several names, by device and inode: where the first one went.
    links: HashMap<(u64, u64), Vec<u8>>,
}

struct Made {
    dir: OwnedFd,
    new: bool,
}

impl Copier<'_, '_> {
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
        let before = fs::fstat(&from).doing("stat", item.path)?;
        let changed = || CopyError::Changed { path: rooted(item.path) };
        if !same_content(&before, item.stat) || !self.files.hasher.is_current(item.path, &before) {
            return Err(changed());
        }
        let dir = self.dirs.last().map_or(self.parent.as_fd(), |made| made.dir.as_fd());
        let to = create(dir, name, path)?;
        let copied = fs::copy_file(&from, &to, before.size).doing("copy", item.path)?;
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

impl Visitor for Copier<'_, '_> {
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
