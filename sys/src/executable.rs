//! A sealed copy of this program, for running itself inside a container that must not be able to change the original
//! through `/proc/<pid>/exe`.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{MemfdFlags, SealFlags};

use crate::Result;
use crate::error::Context as _;

/// The path of the copy, made at the first call and kept while this process lives. It leads through `/proc/self/fd`, so
/// that only this process and its children before exec can use it.
pub fn sealed_copy() -> Result<PathBuf> {
    static COPY: Mutex<Option<OwnedFd>> = Mutex::new(None);
    let mut copy = COPY.lock().unwrap_or_else(PoisonError::into_inner);
    let fd = match copy.take() {
        Some(fd) => fd,
        None => make()?,
    };
    let path = crate::fs::proc_fd_path(fd.as_fd());
    *copy = Some(fd);
    Ok(path)
}

fn make() -> Result<OwnedFd> {
    const SELF: &str = "/proc/self/exe";
    let original = std::fs::File::open(SELF).at("open", SELF)?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know the flag; later ones may insist on it.
    let copy = rustix::fs::memfd_create("cooper", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("cooper", flags))
        .at("memfd_create", SELF)?;
    crate::fs::copy_file(&original, &copy, u64::MAX)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&copy, seals).at("seal", SELF)?;
    Ok(copy)
}
