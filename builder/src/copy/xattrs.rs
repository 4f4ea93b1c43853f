//! Which extended attributes travel with a file.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;

use super::CopyError;
use super::error::Doing as _;
use super::walk::Item;
use cooper_sys::fs;

/// Attributes of the host's own bookkeeping, which are no part of the file: overlay's marks, security labels.
fn is_private(name: &[u8]) -> bool {
    name.starts_with(b"user.overlay.")
        || name.starts_with(b"trusted.overlay.")
        || name == b"security.selinux"
        || name == b"security.ima"
        || name == b"security.evm"
}

/// Name and value.
pub(crate) type Xattr = (Vec<u8>, Vec<u8>);

/// All that count of a file, sorted by name.
pub(crate) fn of(item: &Item<'_>) -> Result<Vec<Xattr>, CopyError> {
    let all = match item.dir {
        Some(dir) => of_open(dir),
        None => at(item.parent, item.name),
    };
    all.doing("read the attributes of", item.path)
}

/// The same of an open file or directory.
pub(crate) fn of_open(file: BorrowedFd<'_>) -> cooper_sys::Result<Vec<Xattr>> {
    fs::list_xattrs_fd(file).map(public)
}

/// The same of a name in a directory.
pub(crate) fn at(dir: BorrowedFd<'_>, name: &OsStr) -> cooper_sys::Result<Vec<Xattr>> {
    fs::list_xattrs_at(dir, name).map(public)
}

fn public(mut all: Vec<Xattr>) -> Vec<Xattr> {
    all.retain(|(name, _)| !is_private(name));
    all
}
