//! Bringing an overlay's upper directory to the smallest form that says the same.
//!
//! A step that only looks at things, or changes them back, must not leave a layer full of copies. What is taken out
//! of the upper directory: files and directories that equal what is below them (also a file
//! that only got one more hard link: the new name becomes a file of its own), whiteouts of names that are not
//! below, opaque marks where there is nothing to hide (the kernel sets them freely; kept, they would hide files when
//! the layer is used on another parent), and sockets.
//!
//! Works while nothing is mounted on the directory.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use cooper_sys::fs::{self, FileKind, OFlags, Stat};
use cooper_sys::overlay;

use crate::error::{Error, Result};
use crate::merged::{Merged, Name};
use crate::xattrs;

/// Tidies everything in `upper`; says whether anything was removed. `below` is what the step had below it: what is in
/// its layers decides what a whiteout hides, and with the mount points it decides what is unchanged. The directory `keep`
/// stays, be it empty and unchanged.
pub(crate) fn tidy(upper: BorrowedFd<'_>, below: &Merged, keep: Option<&[u8]>) -> Result<bool> {
    let mut removed = false;
    let alone = below.is_empty();
    for item in fs::read_dir(upper)? {
        // With nothing below, all that these can be is new.
        if !(alone && matches!(item.kind, FileKind::File | FileKind::Symlink)) {
            let keep = keep.and_then(|keep| keep.strip_prefix(item.name.as_bytes()));
            let keep = keep.filter(|rest| rest.is_empty() || rest.starts_with(b"/"));
            removed |= tidy_name(upper, &item.name, below, keep)?;
        }
    }
    Ok(removed)
}

fn tidy_name(upper: BorrowedFd<'_>, name: &OsStr, below: &Merged, keep: Option<&[u8]>) -> Result<bool> {
    let stat = fs::stat_at(upper, name)?;
    let seen = below.find(name)?;
    let apart = if below.has_stubs() { below.find_in_layers(name)? } else { None };
    let hidden = if below.has_stubs() { &apart } else { &seen };
    if overlay::is_whiteout(&stat) {
        if hidden.is_none() {
            fs::unlink_at(upper, name)?;
        }
        return Ok(hidden.is_none());
    }
    if stat.kind == FileKind::Socket {
        fs::unlink_at(upper, name)?;
        if hidden.is_some() {
            fs::mknod_at(upper, name, FileKind::CharDevice, 0, 0, 0)?;
        }
        return Ok(true);
    }
    if stat.kind != FileKind::Dir {
        if let Some(old) = &seen
            && same_attributes(upper, &stat, old, name)?
            && same_content(upper, old.dir, name, &stat)?
        {
            fs::unlink_at(upper, name)?;
            return Ok(true);
        }
        return Ok(false);
    }
    let opaque = xattrs::is_opaque(upper, name)?;
    let hides = hidden.as_ref().is_some_and(|old| old.stat.is_dir());
    if opaque && !hides {
        fs::remove_xattr_at(upper, name, overlay::OPAQUE_XATTR)?;
    }
    let dir = open_dir_at(upper, name)?;
    let is_new = opaque && hides;
    let inner = if is_new { Merged::default() } else { below.enter(name)? };
    let removed = tidy(dir.as_fd(), &inner, keep.and_then(|keep| keep.strip_prefix(b"/")))?;
    if keep.is_none()
        && let Some(old) = &seen
        && old.stat.is_dir()
        && !is_new
        && same_attributes(upper, &stat, old, name)?
        && fs::read_dir(&dir)?.is_empty()
    {
        drop(dir);
        fs::rmdir_at(upper, name)?;
        return Ok(true);
    }
    if removed {
        fs::utimens_at(upper, name, stat.mtime)?;
    }
    Ok(false)
}

fn open_dir_at(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd> {
    Ok(fs::open_at(dir, name, OFlags::RDONLY | OFlags::DIRECTORY)?)
}

fn same_attributes(upper: BorrowedFd<'_>, new: &Stat, old: &Name<'_>, name: &OsStr) -> Result<bool> {
    let Name { dir, stat } = old;
    let same = new.kind == stat.kind
        && new.mode == stat.mode
        && (new.uid, new.gid) == (stat.uid, stat.gid)
        && new.mtime == stat.mtime
        && (new.rdev_major, new.rdev_minor) == (stat.rdev_major, stat.rdev_minor)
        && (new.is_dir() || new.size == stat.size);
    let said = |dir, stat| xattrs::of(dir, name, stat).map(|said| (said.attributes, said.owner));
    Ok(same && said(upper, new)? == said(*dir, stat)?)
}

fn same_content(upper: BorrowedFd<'_>, lower: BorrowedFd<'_>, name: &OsStr, stat: &Stat) -> Result<bool> {
    match stat.kind {
        FileKind::Symlink => Ok(fs::readlink_at(upper, name)? == fs::readlink_at(lower, name)?),
        FileKind::File => {
            let mut new = std::fs::File::from(fs::open_at(upper, name, OFlags::RDONLY)?);
            let mut old = std::fs::File::from(fs::open_at(lower, name, OFlags::RDONLY)?);
            equal_streams(&mut new, &mut old).map_err(Error::io("read", name))
        }
        _ => Ok(true),
    }
}

pub(crate) fn equal_streams(a: &mut impl Read, b: &mut impl Read) -> std::io::Result<bool> {
    let mut left = vec![0; 1 << 16];
    let mut right = vec![0; 1 << 16];
    loop {
        let count = a.read(&mut left)?;
        if count == 0 {
            return Ok(b.read(&mut right)? == 0);
        }
        match b.read_exact(&mut right[..count]) {
            Ok(()) if left[..count] == right[..count] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
