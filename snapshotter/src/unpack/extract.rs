//! Unpacking an archive into a directory of a root file system, as `ADD` does.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use cooper_oci::tar::{Budget, Reader};
use cooper_sys::fs;

use super::engine::{Engine, Policy, Report, Tree};
use crate::error::Result;

/// Options of [`extract`].
#[derive(Debug, Clone, Copy)]
pub struct ExtractOptions {
    /// Owner of all members and of the directories made for the destination.
    pub chown: Option<(u32, u32)>,
    /// Limits on the archive.
    pub budget: Budget,
}

impl Default for ExtractOptions {
    fn default() -> Self {
        Self { chown: None, budget: Budget::layer() }
    }
}

/// Unpacks a tar stream (not compressed) into the directory `dest` of the tree at `root`.
///
/// `dest` is resolved as if chrooted in `root` and made if missing (0755). Members are then resolved as if chrooted
/// in `dest`: `..` and absolute names and links stay inside. Members named like whiteouts remove what was there
/// before. Of extended attributes only file capabilities are kept. The member that stands for the top directory is
/// ignored. A hard link to nothing is an error.
pub fn extract(
    reader: impl Read,
    root: BorrowedFd<'_>,
    dest: &Path,
    options: &ExtractOptions,
) -> Result<Report> {
    let (uid, gid) = options.chown.unwrap_or((0, 0));
    let dir = fs::mkdir_all_in_root(root, dest, 0o755, |fd, _| fs::chown_fd(fd, uid, gid))?;
    let policy = Policy {
        dress_root: false,
        chown: options.chown,
        user_xattrs: false,
        strict_owners: true,
        keep_parent_times: false,
    };
    let mut engine = Engine::new(dir.as_fd(), Tree::Merged, policy);
    let mut archive = Reader::new(reader, options.budget);
    engine.run("archive", &mut archive)?;
    Ok(engine.report)
}
