//! Cache mounts: `mounts/<encoded id>[.N]/`, each with a lock `locks/mount-<same name>`.
//!
//! Every user holds the lock: shared or exclusive, as the mount asks. Collection takes only what nobody has locked.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::encode_name;
use crate::session::open_lock;
use crate::store::Store;

/// What happens when two steps want one cache mount at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Both use it.
    #[default]
    Shared,
    /// The second gets another one.
    Private,
    /// The second waits.
    Locked,
}

/// A cache mount in use, until it is dropped.
#[derive(Debug)]
pub struct CacheMount {
    dir: PathBuf,
    fresh: bool,
    lock: File,
}

impl CacheMount {
    /// The directory to mount.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Whether it was made by this call: empty, root's, mode 0755.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether [`Sharing::Private`] or [`Sharing::Locked`] keeps others out. Of two shared users that come at
    /// once, only one sees a fresh mount.
    pub fn lock(&self) -> &File {
        &self.lock
    }
}

impl Store {
    /// Takes a cache mount into use; waits only for [`Sharing::Locked`].
    pub fn cache_mount(&self, id: &str, sharing: Sharing) -> Result<CacheMount> {
        let base = encode_name(id);
        for number in 0_u32.. {
            let name = if number == 0 { base.clone() } else { format!("{base}.{number}") };
            let path = self.layout().locks().join(format!("mount-{name}"));
            let lock = open_lock(&path)?;
            match sharing {
                Sharing::Shared => lock.lock_shared().map_err(Error::io("lock", &path))?,
                Sharing::Locked => lock.lock().map_err(Error::io("lock", &path))?,
                Sharing::Private => match lock.try_lock() {
                    Ok(()) => {}
                    Err(fs::TryLockError::WouldBlock) => continue,
                    Err(fs::TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
                },
            }
            // Its time is that of the last use; only the order of eviction depends on it.
            let _ = lock.set_modified(std::time::SystemTime::now());
            let dir = self.layout().mounts().join(&name);
            let fresh = match fs::DirBuilder::new().mode(0o755).create(&dir) {
                Ok(()) => true,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
                Err(error) => return Err(Error::io("create", &dir)(error)),
            };
            if fresh {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))
                    .map_err(Error::io("chmod", &dir))?;
            }
            return Ok(CacheMount { dir, fresh, lock });
        }
        Err(Error::BadName(id.to_owned()))
    }

    /// Where the first cache mount of this id is, whether it exists or not.
    pub fn cache_mount_dir(&self, id: &str) -> PathBuf {
        self.layout().mounts().join(encode_name(id))
    }
}
