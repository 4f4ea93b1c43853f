//! Which extended attributes belong to a layer.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;

use cooper_sys::fs::{self, Stat};
use cooper_sys::overlay;

use crate::error::Result;

/// Names and values.
pub(crate) type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// `chown` to an id that the user namespace does not have.
const EINVAL: i32 = 22;

/// The attribute of file capabilities.
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// Our own attributes.
const OURS: &[u8] = b"user.cooper.";
/// Owner `uid:gid` of a file that is root's on disk, because a user namespace has no such ids.
pub const OWNER_NOTE: &str = "user.cooper.owner";

/// Attributes that are content: a file's capabilities and what users attach to it. The overlay's own and ours, security
/// labels of this host and ACLs that a default ACL of this host may have caused are not.
pub(crate) fn belongs_to_layer(name: &[u8]) -> bool {
    let foreign = [overlay::XATTR_PREFIX.as_bytes(), OURS].iter().all(|ours| !name.starts_with(ours));
    name == CAPABILITY || (name.starts_with(b"user.") && foreign)
}

/// Gives a file an owner. Where the namespace lacks the ids, notes them on a file or directory that stays root's; says
/// whether the owner will be known, which it is not for links and nodes: they hold no attributes.
pub fn give_at(dir: BorrowedFd<'_>, name: &OsStr, uid: u32, gid: u32) -> cooper_sys::Result<bool> {
    match fs::chown_at(dir, name, uid, gid) {
        Err(error) if error.errno() == EINVAL => {}
        done => return done.map(|()| true),
    }
    fs::chown_at(dir, name, 0, 0)?;
    noted(fs::set_xattr_at(dir, name, OWNER_NOTE, note(uid, gid).as_bytes()))
}

/// The same for an open file or directory.
pub fn give_fd(file: BorrowedFd<'_>, uid: u32, gid: u32) -> cooper_sys::Result<bool> {
    match fs::chown_fd(file, uid, gid) {
        Err(error) if error.errno() == EINVAL => {}
        done => return done.map(|()| true),
    }
    fs::chown_fd(file, 0, 0)?;
    noted(fs::set_xattr_fd(file, OWNER_NOTE, note(uid, gid).as_bytes()))
}

fn note(uid: u32, gid: u32) -> String {
    format!("{uid}:{gid}")
}

fn noted(result: cooper_sys::Result<()>) -> cooper_sys::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.is_denied() || error.is_unsupported() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The owner of a file with this state and these attributes. A note counts only while the file is root's: whoever gave
/// it to somebody else meant that.
pub(crate) fn owner(stat: &Stat, attributes: &[(Vec<u8>, Vec<u8>)]) -> (u32, u32) {
    let note = attributes.iter().find(|(name, _)| name == OWNER_NOTE.as_bytes());
    let noted = note.and_then(|(_, value)| {
        let (uid, gid) = std::str::from_utf8(value).ok()?.split_once(':')?;
        Some((uid.parse().ok()?, gid.parse().ok()?))
    });
    noted.filter(|_| (stat.uid, stat.gid) == (0, 0)).unwrap_or((stat.uid, stat.gid))
}

/// What attributes say about a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// Those that belong to a layer, sorted.
    pub(crate) attributes: Attributes,
    /// The owner, noted or real.
    pub(crate) owner: (u32, u32),
    /// Whether it is a directory that hides what lower layers have in it.
    pub(crate) opaque: bool,
}

/// What the attributes of `name` in `dir` say.
pub(crate) fn of(dir: BorrowedFd<'_>, name: &OsStr, stat: &Stat) -> Result<Said> {
    let mut all = fs::list_xattrs_at(dir, name)?;
    let owner = owner(stat, &all);
    let marks = |(name, value): &(Vec<u8>, Vec<u8>)| {
        name == overlay::OPAQUE_XATTR.as_bytes() && value == overlay::OPAQUE_VALUE
    };
    let opaque = stat.is_dir() && all.iter().any(marks);
    all.retain(|(name, _)| belongs_to_layer(name));
    Ok(Said { attributes: all, owner, opaque })
}

/// Whether a directory hides what lower layers have in it.
pub(crate) fn is_opaque(dir: BorrowedFd<'_>, name: &OsStr) -> Result<bool> {
    let value = fs::get_xattr_at(dir, name, overlay::OPAQUE_XATTR)?;
    Ok(value.as_deref() == Some(overlay::OPAQUE_VALUE))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_noted_owner_counts_until_somebody_else_is_given_the_file() {
        let note = vec![(OWNER_NOTE.as_bytes().to_vec(), b"3000000:4000000".to_vec())];
        let mut stat = fs::fstat(fs::open_dir(std::path::Path::new("/")).unwrap()).unwrap();
        (stat.uid, stat.gid) = (0, 0);
        assert_eq!(owner(&stat, &note), (3_000_000, 4_000_000));
        assert_eq!(owner(&stat, &[]), (0, 0));
        assert_eq!(owner(&stat, &[(OWNER_NOTE.as_bytes().to_vec(), b"x:1".to_vec())]), (0, 0));
        (stat.uid, stat.gid) = (5, 6);
        assert_eq!(owner(&stat, &note), (5, 6));
    }

    #[test]
    fn our_notes_are_no_content() {
        let table = [
            ("user.note", true),
            (OWNER_NOTE, false),
            ("user.overlay.opaque", false),
            ("security.capability", true),
            ("security.selinux", false),
            ("trusted.x", false),
        ];
        for (name, want) in table {
            assert_eq!(belongs_to_layer(name.as_bytes()), want, "{name}");
        }
    }
}
