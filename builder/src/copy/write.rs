//! Writing a selection into a root filesystem.
//!
//! Where what is written lands, and what becomes of files that are there already, follows BuildKit to the letter:
//! the top directory keeps its own attributes and takes only the time of the source, directories below it take all
//! attributes of the source, directories that are only there for what is below them (`--parents`) are changed in
//! nothing but their mode.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use cooper_frontend::gopath;
use cooper_frontend::graph::{CopyOp, InlineFile, SourceKind};
use cooper_sys::fs::{self, FileKind, OFlags, Timestamp};

use super::CopyError;
use super::archive::{self, Unpacker};
use super::chmod::ModeChange;
use super::crew::with_crew;
use super::dress::{Dress, give};
use super::error::{Doing as _, rooted};
use super::resolve::join;
use super::select::{Content, Match, Selection};
use super::source::{Files, Kind};
use super::streamed::{self, Streamed};
use super::target::{Place, Target, clean_dest, directory_part};
use super::tree_writer::{Image, TreeWriter};
use super::walk::{self, Item, Role, Rules, Visitor as _, walk};
use super::write_file::{Shared, create};

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
    /// A directory in which what is new below the image's root can be written as well, at the same path and for less.
    pub upper: Option<BorrowedFd<'o>>,
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
    let mut writer = Writer::new(selection, dest_root, op, options)?;
    let dest = clean_dest(&op.dest);
    match &selection.content {
        Content::Inline(file) => writer.inline(file, &dest)?,
        Content::Files { tree, matches, rules } => {
            if let Kind::Files(files) = &tree.0 {
                let several = op.sources.len() > 1 || matches.len() > 1;
                for found in matches {
                    writer.one(files, found, rules, &dest, several)?;
                }
            }
        }
    }
    writer.target.finish()?;
    writer.report.lost_xattrs = writer.dress.lost_xattrs.into_inner();
    Ok(writer.report)
}

/// As [`copy`], for a large directory of the client that is all there is to copy: makes the directory where it goes, and
/// hands over what comes into it. `None`, and nothing is done, if it must be copied.
pub fn stream<'s>(
    selection: &'s Selection,
    dest_root: BorrowedFd<'_>,
    op: &CopyOp,
    options: &'s CopyOptions<'s>,
) -> Result<Option<Streamed<'s>>, CopyError> {
    let Content::Files { tree, matches, rules } = &selection.content else { return Ok(None) };
    let (Kind::Files(files), [found], [_]) = (&tree.0, matches.as_slice(), op.sources.as_slice()) else {
        return Ok(None);
    };
    let plain = matches!(selection.kind, SourceKind::Files { .. }) && !selection.keeps_owner() && !op.parents;
    if !plain || !files.client || !found.stat.is_dir() || !streamed::is_worth_it(files, &found.path, rules)? {
        return Ok(None);
    }
    let mut writer = Writer::new(selection, dest_root, op, options)?;
    let at = writer.top(files, found, &clean_dest(&op.dest))?;
    writer.target.finish()?;
    let mode = op.chmod.as_ref().map(ModeChange::new).transpose()?;
    Ok(Some(Streamed::new(files, &found.path, rules, dress(selection, mode, options), at)))
}

fn dress<'o>(selection: &Selection, mode: Option<ModeChange>, options: &CopyOptions<'o>) -> Dress<'o> {
    Dress {
        mode,
        owner: options.owner,
        file_time: options.file_time,
        keeps_owner: selection.keeps_owner(),
        kind: selection.kind,
        cancelled: options.cancelled,
        lost_xattrs: AtomicU64::new(0),
    }
}

/// What one call of [`copy`] shares among all that it writes.
struct Writer<'w> {
    target: Target<'w>,
    dress: Dress<'w>,
    options: &'w CopyOptions<'w>,
    kind: SourceKind,
    report: CopyReport,
}

impl<'w> Writer<'w> {
    fn new(
        selection: &Selection,
        dest_root: BorrowedFd<'w>,
        op: &CopyOp,
        options: &'w CopyOptions<'w>,
    ) -> Result<Self, CopyError> {
        let mode = op.chmod.as_ref().map(ModeChange::new).transpose()?;
        Ok(Writer {
            target: Target {
                root: dest_root,
                parent_mode: mode.as_ref().map_or(0o755, ModeChange::of_parents),
                owner: options.owner,
                parent_time: options.parent_time,
                made: Vec::new(),
            },
            dress: dress(selection, mode, options),
            options,
            kind: selection.kind,
            report: CopyReport::default(),
        })
    }

    /// Makes the directory where the source goes, and nothing in it. Returns its path.
    fn top(&mut self, files: &Files, found: &Match, dest: &str) -> Result<Vec<u8>, CopyError> {
        let (parent, place) = self.prepare(dest, true, true, &found.named)?;
        let shared = Shared::new(files, &self.dress);
        let image = Image { root: self.target.root, upper: None };
        let path = join(&place.parts);
        let (above, name, stat) = walk::find(files, &found.path)?;
        let dir = fs::open_at(&above, name, OFlags::RDONLY | OFlags::DIRECTORY).doing("open", &found.path)?;
        let item = Item {
            relative: b"",
            path: &found.path,
            parent: above.as_fd(),
            name,
            dir: Some(dir.as_fd()),
            stat: &stat,
        };
        with_crew(&shared, |crew| {
            let mut tree = TreeWriter::new(crew, image, parent, place.parts, false);
            tree.enter(&item, Role::Top)?;
            tree.leave(&item, Role::Top)
        })?;
        Ok(path)
    }

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
        let made_before = self.target.made.len();
        let contents_only = !matches!(self.kind, SourceKind::Git | SourceKind::Http { .. });
        let (parent, place) = self.prepare(dest, is_dir, contents_only, &found.named)?;
        if several && !is_dir && place.kind != Some(FileKind::Dir) && !place.inside {
            self.report.warnings.push(format!(
                "several sources are copied to the one file {:?}, where the last one stays: end the destination in a \
                 slash to make it a directory",
                rooted(&join(&place.parts))
            ));
        }
        // Nobody has looked into a directory that was made just now.
        let is_new = self.target.made[made_before..].contains(&place.parts);
        let shared = Shared::new(files, &self.dress);
        let image = Image { root: self.target.root, upper: self.options.upper };
        with_crew(&shared, |crew| {
            let mut tree = TreeWriter::new(crew, image, parent, place.parts, is_new);
            walk(files, &found.path, rules, &mut tree)
        })?;
        self.report.files += shared.written.load(Ordering::Relaxed);
        self.report.bytes += shared.bytes.load(Ordering::Relaxed);
        Ok(())
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
        let created = create(parent.as_fd(), name, &path, 0o600)?;
        std::fs::File::from(created)
            .write_all(&file.content)
            .map_err(|e| cooper_sys::Error::at("write", OsStr::from_bytes(&path), e))
            .doing("write", &path)?;
        let (uid, gid) = self.options.owner.unwrap_or((0, 0));
        give(parent.as_fd(), name, (uid, gid), &path)?;
        let mode = self.dress.mode.as_ref().map_or(file.mode, |change| change.apply(file.mode, false));
        fs::chmod_at(&parent, name, mode).doing("change the mode of", &path)?;
        if let Some(time) = self.options.file_time.or(self.options.parent_time) {
            fs::utimens_at(&parent, name, time).doing("set the time of", &path)?;
        }
        self.report.files += 1;
        self.report.bytes += file.content.len() as u64;
        Ok(())
    }
}

/// Where a source goes.
struct Landing {
    parts: Vec<OsString>,
    kind: Option<FileKind>,
    /// Into an existing directory under its own name.
    inside: bool,
}
