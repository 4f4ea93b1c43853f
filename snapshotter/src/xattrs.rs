//! Which extended attributes belong to a layer.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;

use cooper_sys::{fs, overlay};

use crate::error::Result;

/// The attribute of file capabilities.
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// Attributes that are content: a file's capabilities and what users attach to it. The overlay's own, security
/// labels of this host and ACLs that a default ACL of this host may have caused are not.
pub(crate) fn belongs_to_layer(name: &[u8]) -> bool {
    name == CAPABILITY || (name.starts_with(b"user.") && !name.starts_with(overlay::XATTR_PREFIX.as_bytes()))
}

/// The attributes of `name` in `dir` that belong to a layer, sorted.
pub(crate) fn of(dir: BorrowedFd<'_>, name: &OsStr) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut all = fs::list_xattrs_at(dir, name)?;
    all.retain(|(name, _)| belongs_to_layer(name));
    Ok(all)
}

/// Whether a directory hides what lower layers have in it.
pub(crate) fn is_opaque(dir: BorrowedFd<'_>, name: &OsStr) -> Result<bool> {
    let value = fs::get_xattr_at(dir, name, overlay::OPAQUE_XATTR)?;
    Ok(value.as_deref() == Some(overlay::OPAQUE_VALUE))
}
