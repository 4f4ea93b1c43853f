//! Putting one member after the other into a tree, as if chrooted in it.
//!
//! Names are resolved in the root by descriptor (`openat2` with `RESOLVE_IN_ROOT`); parents may be links, the last
//! component never is followed. Two kinds of trees:
//!
//! - *upper*: the empty upper directory of a layer whose parents are not at hand. Marks become overlay whiteouts and
//!   opaque attributes. A member that cannot be placed without its parents gives [`Outcome::NeedsParents`].
//! - *merged*: a complete tree. Marks remove what this archive did not bring itself.
//!
//! What marks do is in `marks`. Order for each file: content, owner, mode, attributes, times; times of directories at the very end.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cooper_oci::tar::{Entry, EntryKind, Reader};
use cooper_sys::fs::{self, FileKind, OFlags, Stat};
use cooper_sys::overlay;

use super::names::{self, Place, Target};
use crate::error::{Error, Result};
use crate::xattrs;

/// Warnings beyond this many are only counted.
const MAX_WARNINGS: usize = 20;
const CHUNK: usize = 1 << 17;

/// What an unpacking did that its archive does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Things left out, one line each, at most twenty.
    pub warnings: Vec<String>,
    /// How many things were left out.
    pub left_out: u64,
    /// Members that were placed.
    pub members: u64,
}

impl Report {
    fn warn(&mut self, path: &[u8], what: &str) {
        self.left_out += 1;
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(format!("{}: {what}", String::from_utf8_lossy(path)));
        }
    }
}

/// The kind of tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    /// An upper directory; with `parents`, there are layers below that one cannot see.
    Upper { parents: bool },
    /// A complete tree.
    Merged,
}

/// What to do with owners and attributes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// The root member sets the attributes of the root.
    pub(crate) dress_root: bool,
    /// Owner of every member, instead of its own.
    pub(crate) chown: Option<(u32, u32)>,
    /// Attributes other than capabilities are kept.
    pub(crate) user_xattrs: bool,
    /// An owner that can neither be given nor noted is an error.
    pub(crate) strict_owners: bool,
    /// Directories that only get new names in them keep their times.
    pub(crate) keep_parent_times: bool,
}

/// How placing a member went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// Only a merged tree can tell where this belongs. The tree is to be thrown away.
    NeedsParents,
}

pub(crate) struct Engine<'a> {
    pub(super) root: BorrowedFd<'a>,
    /// Where the root is, as the kernel names it.
    root_path: Option<Vec<u8>>,
    pub(super) tree: Tree,
    policy: Policy,
    pub(crate) report: Report,
    /// Directories came into being that no member named.
    pub(crate) implicit: bool,
    /// A member gave the root its attributes.
    pub(crate) root_dressed: bool,
    /// Hash of each file's content, by inode. Only of upper directories.
    pub(crate) hashes: HashMap<u64, [u8; 32]>,
    /// The directory that was used last.
    pub(super) parent: Option<(Vec<u8>, OwnedFd)>,
    /// Times that directories will get.
    times: HashMap<Vec<u8>, (i64, u32)>,
    /// Hashes of the paths of all that this archive brought, in merged trees.
    pub(super) made: HashSet<[u8; 16]>,
    buffer: Vec<u8>,
}

pub(super) fn os(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

impl<'a> Engine<'a> {
    pub(crate) fn new(root: BorrowedFd<'a>, tree: Tree, policy: Policy) -> Self {
        Self {
            root,
            root_path: real_path(root),
            tree,
            policy,
            report: Report::default(),
            implicit: false,
            root_dressed: false,
            hashes: HashMap::new(),
            parent: None,
            times: HashMap::new(),
            made: HashSet::new(),
            buffer: vec![0; CHUNK],
        }
    }

    /// Places all members of an archive.
    pub(crate) fn run<R: Read>(&mut self, layer: &str, reader: &mut Reader<R>) -> Result<Outcome> {
        let archive = |source| Error::Archive { layer: layer.to_owned(), source };
        while let Some(entry) = reader.next().map_err(archive)? {
            match self.place(&entry, reader).map_err(|error| name_member(&entry.path, error))? {
                Outcome::Done => self.report.members += 1,
                Outcome::NeedsParents => return Ok(Outcome::NeedsParents),
            }
        }
        self.finish()?;
        Ok(Outcome::Done)
    }

    fn place<R: Read>(&mut self, entry: &Entry, data: &mut Reader<R>) -> Result<Outcome> {
        match names::target(&entry.path)? {
            Target::Skip => Ok(Outcome::Done),
            Target::Root => self.root_member(entry),
            Target::Opaque(dir) => self.opaque(&dir),
            Target::Whiteout(place) => self.whiteout(&place),
            Target::Name(place) => self.file(entry, &place, data),
        }
    }

    fn root_member(&mut self, entry: &Entry) -> Result<Outcome> {
        if entry.kind != EntryKind::Dir {
            return Err(Error::member(&entry.path, "the root can only be a directory"));
        }
        if self.policy.dress_root {
            let (uid, gid) = self.owner(entry)?;
            fs::chown_fd(self.root, uid, gid)?;
            fs::chmod_fd(self.root, entry.mode & 0o7777)?;
            self.times.insert(Vec::new(), (entry.mtime, entry.mtime_nanos));
            self.root_dressed = true;
        }
        Ok(Outcome::Done)
    }

    /// Opens the directory of a place. `None`: only the parents know where it is.
    pub(super) fn open_parent(&mut self, dir: &[u8], mtime: (i64, u32)) -> Result<Option<OwnedFd>> {
        if let Some((path, fd)) = &self.parent
            && path == dir
        {
            return Ok(Some(fd.try_clone().map_err(Error::io("duplicate", os(dir)))?));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let opened = match fs::open_in_root(self.root, Path::new(os(dir)), flags, 0) {
            Ok(fd) => fd,
            Err(_) if self.tree == (Tree::Upper { parents: true }) => return Ok(None),
            Err(_) => self.make_parents(dir, mtime)?,
        };
        if self.tree == Tree::Merged {
            let path = self.path_of(opened.as_fd(), dir);
            if self.policy.keep_parent_times && !self.times.contains_key(&path) {
                self.times.insert(path.clone(), fs::fstat(&opened)?.mtime);
            }
            self.mark_ancestors(&path);
        }
        let copy = opened.try_clone().map_err(Error::io("duplicate", os(dir)))?;
        self.parent = Some((dir.to_vec(), opened));
        Ok(Some(copy))
    }

    /// The path of an open directory of the tree, links resolved. `named` is what it was called, and the answer if
    /// the kernel does not tell.
    pub(super) fn path_of(&self, dir: BorrowedFd<'_>, named: &[u8]) -> Vec<u8> {
        let known = real_path(dir);
        let (Some(path), Some(root)) = (&known, &self.root_path) else { return named.to_vec() };
        match path.strip_prefix(root.as_slice()) {
            Some(inside) => inside.strip_prefix(b"/").unwrap_or(inside).to_vec(),
            None => named.to_vec(),
        }
    }

    /// Makes what is missing of a path, 0755 and root's; a file in the way gives way.
    fn make_parents(&mut self, dir: &[u8], mtime: (i64, u32)) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let mut end = 0;
        while end < dir.len() {
            end = dir[end + 1..].iter().position(|byte| *byte == b'/').map_or(dir.len(), |at| end + 1 + at);
            let part = &dir[..end];
            match fs::open_in_root(self.root, Path::new(os(part)), flags, 0) {
                Ok(_) => continue,
                Err(error) if error.is_not_found() => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                    if let Some(place) = names::place(part) {
                        let above = fs::open_in_root(self.root, Path::new(os(&place.parent)), flags, 0)?;
                        fs::unlink_at(&above, os(&place.name))?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
            fs::mkdir_all_in_root(self.root, Path::new(os(part)), 0o755, |fd, _| fs::chown_fd(fd, 0, 0))?;
            self.implicit = true;
            let made = fs::open_in_root(self.root, Path::new(os(part)), flags, 0)?;
            let path = self.path_of(made.as_fd(), part);
            if self.policy.keep_parent_times {
                self.times.insert(path, mtime);
            }
        }
        Ok(fs::open_in_root(self.root, Path::new(os(dir)), flags, 0)?)
    }

    fn file<R: Read>(&mut self, entry: &Entry, place: &Place, data: &mut Reader<R>) -> Result<Outcome> {
        let mtime = (entry.mtime, entry.mtime_nanos);
        let Some(dir) = self.open_parent(&place.parent, mtime)? else { return Ok(Outcome::NeedsParents) };
        let dir = dir.as_fd();
        let name = os(&place.name);
        let link = match entry.kind {
            EntryKind::HardLink => match self.link_target(entry)? {
                Some(target) => Some(target),
                None => return Ok(Outcome::NeedsParents),
            },
            _ => None,
        };
        let existing = stat(dir, name)?;
        if let (Some((from, from_name)), Some(old)) = (&link, &existing) {
            let target = fs::stat_at(from, os(from_name))?;
            if (target.dev, target.ino) == (old.dev, old.ino) {
                return Ok(Outcome::Done);
            }
        }
        let was_whiteout = self.tree != Tree::Merged && existing.as_ref().is_some_and(overlay::is_whiteout);
        let stays = entry.kind == EntryKind::Dir && existing.as_ref().is_some_and(Stat::is_dir);
        if existing.is_some() && !stays {
            self.parent = None;
            fs::remove_tree_at(dir, name)?;
        }
        match entry.kind {
            EntryKind::Dir if stays => {}
            EntryKind::Dir => {
                fs::mkdir_at(dir, name, 0o700)?;
                if was_whiteout {
                    fs::set_xattr_at(dir, name, overlay::OPAQUE_XATTR, overlay::OPAQUE_VALUE)?;
                }
            }
            EntryKind::File => self.write_file(dir, name, entry, data)?,
            EntryKind::Symlink => fs::symlink_at(os(&entry.link), dir, name)?,
            EntryKind::HardLink => {
                if let Some((from, from_name)) = link {
                    fs::link_at(&from, os(&from_name), dir, name)?;
                }
            }
            EntryKind::Fifo => fs::mkfifo_at(dir, name, 0o600)?,
            EntryKind::CharDevice | EntryKind::BlockDevice => {
                if !self.device(dir, name, entry)? {
                    return Ok(Outcome::Done);
                }
            }
        }
        self.dress(dir, name, entry, place)?;
        if self.tree == Tree::Merged {
            self.mark(dir, place);
        }
        Ok(Outcome::Done)
    }

    /// The directory and name that a hard link means. `None`: only the parents know.
    fn link_target(&self, entry: &Entry) -> Result<Option<(OwnedFd, Vec<u8>)>> {
        let Some(place) = names::place(&entry.link) else {
            return Err(Error::member(&entry.path, "a hard link to the root"));
        };
        let blind = self.tree == (Tree::Upper { parents: true });
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let dir = match fs::open_in_root(self.root, Path::new(os(&place.parent)), flags, 0) {
            Ok(dir) => dir,
            Err(_) if blind => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match stat(dir.as_fd(), os(&place.name))? {
            Some(stat) if stat.is_dir() && !blind => {
                Err(Error::member(&entry.path, "a hard link to a directory"))
            }
            Some(stat) if !stat.is_dir() && (self.tree == Tree::Merged || !overlay::is_whiteout(&stat)) => {
                Ok(Some((dir, place.name)))
            }
            _ if blind => Ok(None),
            _ => {
                let target = String::from_utf8_lossy(&entry.link).into_owned();
                Err(Error::member(&entry.path, format!("its hard link target {target} does not exist")))
            }
        }
    }

    fn write_file<R: Read>(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        entry: &Entry,
        data: &mut Reader<R>,
    ) -> Result<()> {
        let sparse = data.extents().is_some();
        let mut file = File::from(fs::create_file_at(dir, name, 0o600)?);
        let mut hasher = matches!(self.tree, Tree::Upper { .. }).then(blake3::Hasher::new);
        let mut left = entry.size;
        let mut ends_in_hole = false;
        while left > 0 {
            let want = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = data.read(&mut self.buffer[..want]).map_err(|source| Error::LayerStream {
                layer: String::from_utf8_lossy(&entry.path).into_owned(),
                source,
            })?;
            if count == 0 {
                return Err(Error::member(&entry.path, "its data is shorter than announced"));
            }
            let bytes = &self.buffer[..count];
            if let Some(hasher) = &mut hasher {
                hasher.update(bytes);
            }
            left -= count as u64;
            ends_in_hole = sparse && bytes.iter().all(|byte| *byte == 0);
            if ends_in_hole {
                file.seek(SeekFrom::Current(count.try_into().unwrap_or(i64::MAX)))
            } else {
                file.write_all(bytes).map(|()| 0)
            }
            .map_err(Error::io("write", os(&entry.path)))?;
        }
        if ends_in_hole {
            fs::set_size(&file, entry.size)?;
        }
        if let Some(hasher) = hasher {
            self.hashes.insert(fs::fstat(&file)?.ino, *hasher.finalize().as_bytes());
        }
        Ok(())
    }

    /// Makes a device node; says whether there is one now.
    fn device(&mut self, dir: BorrowedFd<'_>, name: &OsStr, entry: &Entry) -> Result<bool> {
        let kind =
            if entry.kind == EntryKind::CharDevice { FileKind::CharDevice } else { FileKind::BlockDevice };
        if kind == FileKind::CharDevice && (entry.dev_major, entry.dev_minor) == (0, 0) {
            self.report.warn(&entry.path, "the device 0:0 is not a device but a whiteout, and was left out");
            return Ok(false);
        }
        match fs::mknod_at(dir, name, kind, 0o600, entry.dev_major, entry.dev_minor) {
            Ok(()) => Ok(true),
            Err(error) if error.is_denied() => {
                self.report.warn(&entry.path, "device nodes cannot be made without root, it was left out");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn owner(&self, entry: &Entry) -> Result<(u32, u32)> {
        if let Some(owner) = self.policy.chown {
            return Ok(owner);
        }
        let id = |id: u64| {
            u32::try_from(id)
                .ok()
                .filter(|id| *id != u32::MAX)
                .ok_or_else(|| Error::member(&entry.path, format!("{id} is not a user or group")))
        };
        Ok((id(entry.uid)?, id(entry.gid)?))
    }

    fn dress(&mut self, dir: BorrowedFd<'_>, name: &OsStr, entry: &Entry, place: &Place) -> Result<()> {
        let (uid, gid) = self.owner(entry)?;
        if !xattrs::give_at(dir, name, uid, gid)? {
            if self.policy.strict_owners {
                let what = format!("it cannot belong to {uid}:{gid}: this user has no such subordinate ids");
                return Err(Error::member(&entry.path, what));
            }
            self.report
                .warn(&entry.path, &format!("its owner {uid}:{gid} does not exist here, it is root's now"));
        }
        let linked_symlink = entry.kind == EntryKind::HardLink && fs::stat_at(dir, name)?.is_symlink();
        if entry.kind != EntryKind::Symlink && !linked_symlink {
            fs::chmod_at(dir, name, entry.mode & 0o7777)?;
        }
        for (key, value) in &entry.xattrs {
            let wanted = if self.policy.user_xattrs {
                xattrs::belongs_to_layer(key)
            } else {
                key.as_slice() == xattrs::CAPABILITY
            };
            if !wanted {
                continue;
            }
            match fs::set_xattr_at(dir, name, os(key), value) {
                Ok(()) => {}
                Err(error) if error.is_denied() || error.is_unsupported() => {
                    let key = String::from_utf8_lossy(key);
                    self.report.warn(&entry.path, &format!("the attribute {key} cannot be set here"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mtime = (entry.mtime, entry.mtime_nanos);
        if entry.kind == EntryKind::Dir {
            let path = names::join(&self.path_of(dir, &place.parent), &place.name);
            self.times.insert(path, mtime);
            return Ok(());
        }
        Ok(fs::utimens_at(dir, name, mtime)?)
    }

    /// Gives directories their times.
    fn finish(&mut self) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        for (path, mtime) in std::mem::take(&mut self.times) {
            // It may have been replaced by something else later on.
            if let Ok(dir) = fs::open_in_root(self.root, Path::new(os(&path)), flags, 0) {
                fs::utimens_at(&dir, ".", mtime)?;
            }
        }
        Ok(())
    }
}

pub(super) fn open_dir(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd> {
    Ok(fs::open_at(dir, name, OFlags::RDONLY | OFlags::DIRECTORY)?)
}

pub(super) fn stat(dir: BorrowedFd<'_>, name: &OsStr) -> Result<Option<Stat>> {
    match fs::stat_at(dir, name) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The kernel's name for an open directory; none for one that is too deep.
fn real_path(dir: BorrowedFd<'_>) -> Option<Vec<u8>> {
    let path = std::fs::read_link(fs::proc_fd_path(dir)).ok()?.into_os_string();
    let bytes = path.as_bytes();
    Some(bytes.strip_suffix(b"/").unwrap_or(bytes).to_vec())
}

fn name_member(path: &[u8], error: Error) -> Error {
    match error {
        Error::Sys(source) => Error::Member {
            path: String::from_utf8_lossy(path).into_owned(),
            reason: source.to_string(),
            source: Some(Box::new(source)),
        },
        other => other,
    }
}
