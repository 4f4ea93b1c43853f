//! Durability and locks.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, IFlags, OFlags};
use rustix::io::Errno;

use super::open::open_trusted;
use super::{create_file_at, open_dir, rename_at, unlink_at};
use crate::error::Context as _;
use crate::{Error, Result};

/// Makes everything written to the filesystem of `fd` durable.
pub fn syncfs(fd: impl AsFd) -> Result<()> {
    rustix::fs::syncfs(fd).at("syncfs", "")
}

/// Begins to write what a file has in `offset..offset + length` (to its end, if `length` is 0) to disk, and does not wait
/// for it: an [`fsync`] later on has less to do. Makes nothing durable. Best effort: not every filesystem can.
pub fn start_writeback(fd: impl AsFd, offset: u64, length: u64) {
    let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else { return };
    // SAFETY: takes numbers only; the descriptor is open as long as the borrow.
    let _ =
        unsafe { libc::sync_file_range(fd.as_fd().as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}

/// Sends a file that grows to disk in steps of some MiB, by [`start_writeback`]: the disk is busy from the beginning, and
/// the sync at the end short.
#[derive(Debug, Default)]
pub struct Leaving {
    begun: u64,
}

impl Leaving {
    const STEP_BYTES: u64 = 8 << 20;

    /// For a file of which so many bytes need no more care.
    pub fn from(begun: u64) -> Self {
        Self { begun }
    }

    /// The file has so many bytes now.
    pub fn reached(&mut self, fd: impl AsFd, bytes: u64) {
        if bytes.saturating_sub(self.begun) >= Self::STEP_BYTES {
            start_writeback(fd, self.begun, bytes - self.begun);
            self.begun = bytes;
        }
    }
}

/// Makes one file, or the names in one directory, durable.
pub fn fsync(fd: impl AsFd) -> Result<()> {
    rustix::fs::fsync(fd).at("fsync", "")
}

/// Makes the names in the directory at a trusted path durable.
pub fn fsync_dir(path: &Path) -> Result<()> {
    let dir = open_dir(path)?;
    rustix::fs::fsync(dir).at("fsync", path)
}

/// Asks the filesystem to put what will be made in each subdirectory of `dir` into a region of its own (ext4's top of a
/// hierarchy). `false`: it knows no such thing.
pub fn spread_subdirectories(dir: impl AsFd) -> Result<bool> {
    let dir = dir.as_fd();
    let Ok(flags) = rustix::fs::ioctl_getflags(dir) else { return Ok(false) };
    if flags.contains(IFlags::TOPDIR) {
        return Ok(true);
    }
    match rustix::fs::ioctl_setflags(dir, flags | IFlags::TOPDIR) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::ACCESS) => {
            Ok(false)
        }
        Err(e) => Err(Error::at("set flags", "", e)),
    }
}

fn flock(fd: impl AsFd, operation: FlockOperation) -> Result<bool> {
    let fd = fd.as_fd();
    loop {
        match rustix::fs::flock(fd, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(e) => return Err(Error::at("lock", "", e)),
        }
    }
}

/// Takes the exclusive lock of an open file, waiting for it. It is freed when the last copy of `fd` is closed.
pub fn flock_exclusive(fd: impl AsFd) -> Result<()> {
    flock(fd, FlockOperation::LockExclusive).map(drop)
}

/// Takes the shared lock of an open file, waiting for it.
pub fn flock_shared(fd: impl AsFd) -> Result<()> {
    flock(fd, FlockOperation::LockShared).map(drop)
}

/// Takes the exclusive lock if nobody holds any; `false` otherwise.
pub fn try_flock_exclusive(fd: impl AsFd) -> Result<bool> {
    flock(fd, FlockOperation::NonBlockingLockExclusive)
}

/// Takes the shared lock if nobody holds the exclusive one; `false` otherwise.
pub fn try_flock_shared(fd: impl AsFd) -> Result<bool> {
    flock(fd, FlockOperation::NonBlockingLockShared)
}

/// Frees the lock of an open file.
pub fn flock_unlock(fd: impl AsFd) -> Result<()> {
    flock(fd, FlockOperation::Unlock).map(drop)
}

/// Takes the exclusive lock of one byte of an open file, which need not be that long; waits for it if `wait`, else says
/// whether it could be had. Freed when the last copy of `fd` is closed. Two openings of a file exclude one another, also
/// in one process (open file description locks, `fcntl(2)`).
pub fn lock_byte(fd: impl AsFd, place: u64, wait: bool) -> Result<bool> {
    let fd = fd.as_fd();
    let start = libc::off_t::try_from(place >> 2).unwrap_or(0);
    // SAFETY: a flock of zeros is valid.
    let mut lock = unsafe { std::mem::zeroed::<libc::flock>() };
    #[allow(clippy::cast_possible_truncation, reason = "small constants")]
    {
        lock.l_type = libc::F_WRLCK as libc::c_short;
        lock.l_whence = libc::SEEK_SET as libc::c_short;
    }
    lock.l_start = start;
    lock.l_len = 1;
    let command = if wait { libc::F_OFD_SETLKW } else { libc::F_OFD_SETLK };
    loop {
        // SAFETY: the kernel reads a flock through this pointer during the call, and keeps nothing of it.
        let result = unsafe { libc::fcntl(fd.as_raw_fd(), command, &raw const lock) };
        if result == 0 {
            return Ok(true);
        }
        let error = std::io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN | libc::EACCES) if !wait => return Ok(false),
            _ => return Err(Error::at("lock", "", error)),
        }
    }
}

/// Writes a file so that after a crash it has either the old or the whole new content: a temporary file beside it,
/// fsync, rename, fsync of the directory. Mode 0644 less the umask.
pub fn write_atomic(dir: &Path, name: impl AsRef<OsStr>, bytes: &[u8]) -> Result<()> {
    let name = name.as_ref();
    let dir_fd = open_trusted(dir, OFlags::RDONLY | OFlags::DIRECTORY, 0).at("open directory", dir)?;
    let (file, temporary) = create_temporary(&dir_fd)?;
    let mut file = std::fs::File::from(file);
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .at("write", dir.join(name))
        .and_then(|()| rename_at(&dir_fd, &temporary, &dir_fd, name));
    if written.is_err() {
        // Best effort: the name starts with a dot and "tmp", and is swept up with others of its kind.
        let _ = unlink_at(&dir_fd, &temporary);
    }
    written?;
    rustix::fs::fsync(&dir_fd).at("fsync", dir)
}

fn create_temporary(dir: &OwnedFd) -> Result<(OwnedFd, OsString)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let name = OsString::from(format!(".tmp-{}-{nanos:x}-{count}", std::process::id()));
        match create_file_at(dir, &name, 0o644) {
            Ok(file) => return Ok((file, name)),
            Err(e) if e.is_exists() => {}
            Err(e) => return Err(e),
        }
    }
}
