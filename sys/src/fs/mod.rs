//! File trees by descriptor: the only way in which Cooper touches trees that it does not trust.
//!
//! Rules: a path of an untrusted tree is only ever resolved by [`open_in_root`] and its kin (openat2 with
//! `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS`: "as if chrooted"); every other function takes a directory descriptor
//! and one name, and does not follow a link in it. Descriptors are always close-on-exec.

mod at;
mod copy;
mod dir;
mod open;
mod remove;
mod stat;
mod sync;
mod xattr;

pub use at::{
    Timestamp, chmod_at, chmod_fd, chown_at, chown_fd, create_file_at, link_at, link_fd_at, mkdir_at,
    mkfifo_at, mknod_at, open_at, proc_fd_path, readlink_at, readlink_fd, rename_at, rename_noreplace_at,
    rmdir_at, symlink_at, unlink_at, utimens_at, utimens_fd,
};
pub use copy::{Copier, copy_file, reflink, set_size};
pub use dir::{DirEntry, read_dir, read_dir_sorted};
pub use open::{create_all_in_root, mkdir_all_in_root, open_dir, open_in_root, open_path, resolve_in_root};
pub use remove::{remove_tree, remove_tree_at};
pub use rustix::fs::OFlags;
pub use stat::{FileKind, Stat, StatFs, fstat, stat_at, statfs, umask};
pub use sync::{
    Leaving, flock_exclusive, flock_shared, flock_unlock, fsync, fsync_dir, lock_byte, spread_subdirectories,
    start_writeback, syncfs, try_flock_exclusive, try_flock_shared, write_atomic,
};
pub use xattr::{
    get_xattr_at, get_xattr_fd, list_xattrs_at, list_xattrs_fd, remove_xattr_at, set_xattr_at, set_xattr_fd,
};
