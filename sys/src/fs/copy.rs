//! Copying file content: by reference where the filesystem can, inside the kernel where it cannot; holes stay holes.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::Stat;
use crate::error::Context as _;
use crate::{Error, Result};

/// Shares the content of `from` with the empty file `to` (reflink). `false`: the filesystem cannot.
pub fn reflink(from: impl AsFd, to: impl AsFd) -> Result<bool> {
    match rustix::fs::ioctl_ficlone(to, from) {
        Ok(()) => Ok(true),
        Err(
            Errno::OPNOTSUPP
            | Errno::NOTTY
            | Errno::XDEV
            | Errno::INVAL
            | Errno::NOSYS
            | Errno::PERM
            | Errno::TXTBSY,
        ) => Ok(false),
        Err(e) => Err(Error::at("reflink", "", e)),
    }
}

/// Copies the first `length` bytes of `from` into the empty file `to`, and returns how many there were, as a new
/// [`Copier`] does it.
pub fn copy_file(from: impl AsFd, to: impl AsFd, length: u64) -> Result<u64> {
    let from = from.as_fd();
    Copier::default().copy(from, to, &super::fstat(from)?, length)
}

/// Bytes that go by one read and one write.
const CHUNK_BYTES: usize = 256 << 10;
/// Up to this size a read and a write are cheaper than asking the kernel for a clever copy.
const SMALL_BYTES: u64 = 64 << 10;

/// Copies many files of one tree into another: keeps its buffer, and remembers what the two filesystems cannot do.
#[derive(Debug)]
pub struct Copier {
    buffer: Vec<u8>,
    by_reference: bool,
    in_kernel: bool,
}

impl Default for Copier {
    fn default() -> Self {
        Self { buffer: Vec::new(), by_reference: true, in_kernel: true }
    }
}

impl Copier {
    /// Copies the first `length` bytes of `from`, whose attributes are `stat`, into the empty file `to`, and returns how
    /// many there were.
    ///
    /// Tries a reflink, then `copy_file_range`, then reads and writes. Holes of `from` become holes of `to`. The
    /// positions of both files move.
    pub fn copy(&mut self, from: impl AsFd, to: impl AsFd, stat: &Stat, length: u64) -> Result<u64> {
        let (from, to) = (from.as_fd(), to.as_fd());
        let size = stat.size.min(length);
        if size == 0 {
            return Ok(0);
        }
        let has_holes = stat.blocks * 512 < stat.size;
        let small = size <= SMALL_BYTES;
        if !small && size == stat.size && self.by_reference {
            if reflink(from, to)? {
                return Ok(size);
            }
            self.by_reference = false;
        }
        let mut offset = 0;
        while offset < size {
            let run = if has_holes { next_data(from, offset, size)? } else { Some((offset, size)) };
            let Some((start, end)) = run else { break };
            offset = start;
            while offset < end {
                let moved = self.copy_some(from, to, offset, end - offset, small)?;
                if moved == 0 {
                    // The file got shorter while we read it.
                    return Ok(offset);
                }
                offset += moved;
            }
        }
        if has_holes {
            set_size(to, size)?;
        }
        Ok(size)
    }

    fn copy_some(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        offset: u64,
        length: u64,
        small: bool,
    ) -> Result<u64> {
        if self.in_kernel && !small {
            let (mut read_at, mut write_at) = (offset, offset);
            let chunk = usize::try_from(length.min(1 << 30)).unwrap_or(1 << 30);
            match rustix::fs::copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), chunk) {
                // Some special filesystems answer 0 for files that do have content: let read() decide.
                Ok(0)
                | Err(
                    Errno::XDEV
                    | Errno::NOSYS
                    | Errno::OPNOTSUPP
                    | Errno::INVAL
                    | Errno::PERM
                    | Errno::TXTBSY,
                ) => {
                    self.in_kernel = false;
                }
                Ok(moved) => return Ok(moved as u64),
                Err(e) => return Err(Error::at("copy", "", e)),
            }
        }
        self.buffer.resize(CHUNK_BYTES, 0);
        let wanted = usize::try_from(length).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let read = rustix::io::pread(from, &mut self.buffer[..wanted], offset).at("read", "")?;
        let mut written = 0;
        while written < read {
            written += rustix::io::pwrite(to, &self.buffer[written..read], offset + written as u64)
                .at("write", "")?;
        }
        Ok(read as u64)
    }
}

/// Sets the size of a file; what is beyond the old end reads as zeros.
pub fn set_size(file: impl AsFd, size: u64) -> Result<()> {
    rustix::fs::ftruncate(file, size).at("set size", "")
}

/// The next run of data at or after `offset`, within `size`; `None` when only a hole is left.
fn next_data(from: BorrowedFd<'_>, offset: u64, size: u64) -> Result<Option<(u64, u64)>> {
    let start = match rustix::fs::seek(from, SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((offset, size))),
        Err(e) => return Err(Error::at("seek", "", e)),
    };
    if start >= size {
        return Ok(None);
    }
    let end = rustix::fs::seek(from, SeekFrom::Hole(start)).at("seek", "")?;
    Ok(Some((start, end.min(size))))
}
