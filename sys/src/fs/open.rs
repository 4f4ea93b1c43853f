//! Resolution of paths inside a root, as if chrooted.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::Context as _;
use crate::{Error, Result};

/// Links that one call of [`mkdir_all_in_root`] follows by itself before it gives up (as the kernel's limit).
const MAX_LINKS: u32 = 40;

/// Opens a directory on a trusted path of the host, for reading.
pub fn open_dir(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .at("open directory", path)
}

/// A handle (`O_PATH`) to whatever lies at a trusted path of the host; links are followed.
pub fn open_path(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).at("open", path)
}

/// Opens `path` inside `root`, as if chrooted to it: absolute paths, links and `..` never leave `root`.
///
/// Links are followed, also the last one unless `flags` has `NOFOLLOW`. `CLOEXEC` is added, and `NONBLOCK` unless
/// `flags` has `PATH`, so that a FIFO in the tree does not hang us. `mode` counts only with `CREATE`.
pub fn open_in_root(root: impl AsFd, path: impl AsRef<Path>, flags: OFlags, mode: u32) -> Result<OwnedFd> {
    open_raw(root.as_fd(), path.as_ref(), flags, mode).at("open", path.as_ref())
}

/// A handle (`O_PATH`) to `path` inside `root`, as if chrooted; `flags` may add `NOFOLLOW` and `DIRECTORY`.
pub fn resolve_in_root(root: impl AsFd, path: impl AsRef<Path>, flags: OFlags) -> Result<OwnedFd> {
    open_raw(root.as_fd(), path.as_ref(), flags | OFlags::PATH, 0).at("resolve", path.as_ref())
}

fn open_raw(root: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: u32) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
    let extra =
        if flags.contains(OFlags::PATH) { OFlags::CLOEXEC } else { OFlags::CLOEXEC | OFlags::NONBLOCK };
    let mode = if flags.intersects(OFlags::CREATE | OFlags::TMPFILE) { mode } else { 0 };
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // The kernel answers EAGAIN when a rename or mount anywhere raced with "..": ask again.
    for _ in 0..128 {
        match rustix::fs::openat2(root, path, flags | extra, Mode::from_raw_mode(mode), how) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// Makes `path` and its missing parents inside `root`, as if chrooted, and returns a handle to the last directory.
///
/// Existing directories are left as they are. A link to a directory that does not exist gets its target made. New
/// directories get exactly `mode`, whatever the umask; `created` is called with each new one and its path as it was
/// asked for, parents first.
pub fn mkdir_all_in_root(
    root: impl AsFd,
    path: impl AsRef<Path>,
    mode: u32,
    mut created: impl FnMut(BorrowedFd<'_>, &Path) -> Result<()>,
) -> Result<OwnedFd> {
    let mut links = 0;
    mkdir_all(root.as_fd(), path.as_ref(), mode, &mut links, &mut created)
}

fn mkdir_all(
    root: BorrowedFd<'_>,
    path: &Path,
    mode: u32,
    links: &mut u32,
    created: &mut dyn FnMut(BorrowedFd<'_>, &Path) -> Result<()>,
) -> Result<OwnedFd> {
    match open_raw(root, path, OFlags::PATH | OFlags::DIRECTORY, 0) {
        Ok(fd) => return Ok(fd),
        Err(Errno::NOENT) => {}
        Err(e) => return Err(Error::at("make directory", path, e)),
    }
    let mut so_far = PathBuf::from("/");
    let mut dir = open_raw(root, &so_far, OFlags::PATH | OFlags::DIRECTORY, 0).at("open root", path)?;
    for component in path.components() {
        let name = match component {
            Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
            Component::ParentDir => OsStr::new(".."),
            Component::Normal(name) => name,
        };
        let parent = so_far.clone();
        so_far.push(name);
        dir = match open_raw(root, &so_far, OFlags::PATH | OFlags::DIRECTORY, 0) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => match rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(mode)) {
                Ok(()) => {
                    super::chmod_at(&dir, name, mode)?;
                    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let fd = rustix::fs::openat(&dir, name, flags, Mode::empty())
                        .at("open new directory", &so_far)?;
                    created(fd.as_fd(), &so_far)?;
                    fd
                }
                Err(Errno::EXIST) => {
                    *links += 1;
                    if *links > MAX_LINKS {
                        return Err(Error::at("make directory", &so_far, Errno::LOOP));
                    }
                    // A link into nothing (or another process was first): make what it points to.
                    match rustix::fs::readlinkat(&dir, name, Vec::new()) {
                        Ok(target) => {
                            let target = PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes()));
                            mkdir_all(root, &parent.join(target), mode, links, created)?
                        }
                        Err(_) => open_raw(root, &so_far, OFlags::PATH | OFlags::DIRECTORY, 0)
                            .at("make directory", &so_far)?,
                    }
                }
                Err(e) => return Err(Error::at("make directory", &so_far, e)),
            },
            Err(e) => return Err(Error::at("make directory", &so_far, e)),
        };
    }
    Ok(dir)
}

/// Makes an empty file at `path` inside `root`, as if chrooted, unless something is there, and returns a handle to it.
///
/// Missing parents become directories of mode 0755. A link into nothing gets its target made. `mode` is subject to the
/// umask.
pub fn create_all_in_root(root: impl AsFd, path: impl AsRef<Path>, mode: u32) -> Result<OwnedFd> {
    let (root, asked) = (root.as_fd(), path.as_ref());
    let mut path = Path::new("/").join(asked);
    for _ in 0..MAX_LINKS {
        match open_raw(root, &path, OFlags::PATH, 0) {
            Err(Errno::NOENT) => {}
            other => return other.at("create file", asked),
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::at("create file", asked, Errno::INVAL));
        };
        let parent = parent.to_owned();
        let dir = mkdir_all_in_root(root, &parent, 0o755, |_, _| Ok(()))?;
        match rustix::fs::mknodat(&dir, name, FileType::RegularFile, Mode::from_raw_mode(mode), 0) {
            Ok(()) => return super::open_at(&dir, name, OFlags::PATH),
            Err(Errno::EXIST) => {
                let target = rustix::fs::readlinkat(&dir, name, Vec::new()).at("create file", asked)?;
                path = parent.join(PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes())));
            }
            Err(e) => return Err(Error::at("create file", asked, e)),
        }
    }
    Err(Error::at("create file", asked, Errno::LOOP))
}

/// True when `name` can be one entry of a directory.
pub(crate) fn is_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty() && bytes != b"." && bytes != b".." && !bytes.contains(&b'/') && !bytes.contains(&0)
}

/// Opens below the current directory or an absolute trusted path.
pub(crate) fn open_trusted(path: &Path, flags: OFlags, mode: u32) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode))
}
