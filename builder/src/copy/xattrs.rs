//! Which extended attributes travel with a file.

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
type Xattr = (Vec<u8>, Vec<u8>);

/// All that count of a file, sorted by name.
pub(crate) fn of(item: &Item<'_>) -> Result<Vec<Xattr>, CopyError> {
    let all = match item.dir {
        Some(dir) => fs::list_xattrs_fd(dir),
        None => fs::list_xattrs_at(item.parent, item.name),
    };
    let mut all = all.doing("read the attributes of", item.path)?;
    all.retain(|(name, _)| !is_private(name));
    Ok(all)
}
