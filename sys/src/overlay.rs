//! Overlay mounts.
//!
//! Always with `userxattr`, so that a store made by root and one made in a user namespace have one format:
//! a whiteout is a character device 0:0, an opaque directory has the attribute [`OPAQUE_XATTR`] with the value `y`, and
//! every attribute that starts with [`XATTR_PREFIX`] belongs to the overlay and must not get into a layer.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::mount::FsOpenFlags;

use crate::error::Context as _;
use crate::fs::{FileKind, Stat, open_path, stat_at};
use crate::mount::{self, Attributes};
use crate::{Error, Result};

/// Marks a directory that hides what lower layers have in it; the value is [`OPAQUE_VALUE`].
pub const OPAQUE_XATTR: &str = "user.overlay.opaque";
/// The value of [`OPAQUE_XATTR`].
pub const OPAQUE_VALUE: &[u8] = b"y";
/// All attributes with this prefix are the overlay's own.
pub const XATTR_PREFIX: &str = "user.overlay.";
/// The kernel's limit on lower layers of one mount.
pub const MAX_LOWER: usize = 500;

/// Options of a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// No sync of the upper directory is ever done by the overlay: the caller calls `syncfs` itself. Its `workdir` can
    /// be used only once.
    pub volatile: bool,
    /// Attributes of the mount.
    pub attributes: Attributes,
}

/// True for the node that hides a name of lower layers.
pub fn is_whiteout(stat: &Stat) -> bool {
    stat.kind == FileKind::CharDevice && stat.rdev_major == 0 && stat.rdev_minor == 0
}

/// Mounts an overlay and returns it detached: it lives as long as the descriptor, or as the tree it is moved to.
///
/// `lower` has the topmost first, and at least one entry. `upper` is the upper directory and its work directory, both on
/// one filesystem; without it the mount is read-only. One lower directory without an upper one becomes a read-only bind.
pub fn mount(lower: &[&Path], upper: Option<(&Path, &Path)>, options: Options) -> Result<OwnedFd> {
    match (lower, upper) {
        ([], _) => return Err(Error::new("mount", "overlay without a lower directory", Errno::INVAL)),
        ([only], None) => {
            let clone = mount::clone_path(only, false)?;
            mount::set_attributes(&clone, options.attributes.read_only(), false)?;
            return Ok(clone);
        }
        _ => {}
    }
    match mount_by_layers(lower, upper, options) {
        Err(Failure::OldKernel) => mount_by_options(lower, upper, options),
        Err(Failure::Real(e)) => Err(e),
        Ok(mount) => Ok(mount),
    }
}

/// How an option names a directory: by its path, or through `/proc` if that is too long for the kernel.
struct Named {
    name: PathBuf,
    _open: Option<OwnedFd>,
}

impl Named {
    /// Longest value of one option, without the zero at its end.
    const MAX_BYTES: usize = 255;

    fn new(path: &Path) -> Result<Self> {
        if path.is_absolute() && path.as_os_str().len() <= Self::MAX_BYTES {
            return Ok(Self { name: path.to_owned(), _open: None });
        }
        Self::by_descriptor(path)
    }

    fn by_descriptor(path: &Path) -> Result<Self> {
        let open = open_path(path)?;
        Ok(Self { name: PathBuf::from(mount::option_path(open.as_fd())), _open: Some(open) })
    }
}

enum Failure {
    /// The kernel does not know one of the calls or options: take the classic way.
    OldKernel,
    Real(Error),
}

/// fsopen, one `lowerdir+` a layer (Linux 6.5), fsmount.
fn mount_by_layers(
    lower: &[&Path],
    upper: Option<(&Path, &Path)>,
    options: Options,
) -> std::result::Result<OwnedFd, Failure> {
    let fs = match rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC) {
        Ok(fs) => fs,
        Err(Errno::NOSYS) => return Err(Failure::OldKernel),
        Err(e) => return Err(Failure::Real(Error::new("fsopen", "overlay", e))),
    };
    let real = |e| Failure::Real(mount::explain("mount", "overlay", &fs, e));
    let set = |key: &str, value: &Path| rustix::mount::fsconfig_set_string(&fs, key, value);
    let _ = set("source", Path::new("overlay"));
    for layer in lower {
        let layer = Named::new(layer).map_err(Failure::Real)?;
        set("lowerdir+", &layer.name).map_err(|e| match e {
            Errno::INVAL => Failure::OldKernel,
            e => real(e),
        })?;
    }
    if let Some((upper, work)) = upper {
        for (key, path) in [("upperdir", upper), ("workdir", work)] {
            // A path in these has escapes, which one through `/proc` never needs.
            let named = Named::by_descriptor(path).map_err(Failure::Real)?;
            set(key, &named.name).map_err(real)?;
        }
    }
    for (key, value) in settings(upper.is_some(), options) {
        match value {
            Some(value) => set(key, Path::new(value)),
            None => rustix::mount::fsconfig_set_flag(&fs, key),
        }
        .map_err(real)?;
    }
    mount::create("overlay", &fs, options.attributes).map_err(Failure::Real)
}

/// The options that do not name directories.
fn settings(writable: bool, options: Options) -> Vec<(&'static str, Option<&'static str>)> {
    let mut all = vec![("userxattr", None)];
    if writable {
        // A distribution may have switched the index on by default; it makes upper directories unfit for other mounts.
        all.push(("index", Some("off")));
        if options.volatile {
            all.push(("volatile", None));
        }
    }
    all
}

/// mount(2) on a directory that nobody else looks at, then a clone of it. One page of options is enough for some 200
/// layers.
fn mount_by_options(lower: &[&Path], upper: Option<(&Path, &Path)>, options: Options) -> Result<OwnedFd> {
    let open = |path: &&Path| open_path(path);
    let lower = lower.iter().map(open).collect::<Result<Vec<_>>>()?;
    let upper =
        upper.map(|(upper, work)| Ok::<_, Error>((open_path(upper)?, open_path(work)?))).transpose()?;
    let layers: Vec<String> = lower.iter().map(|layer| mount::option_path(layer.as_fd())).collect();
    let mut data = format!("lowerdir={}", layers.join(":"));
    if let Some((upper, work)) = &upper {
        data.push_str(",upperdir=");
        data.push_str(&mount::option_path(upper.as_fd()));
        data.push_str(",workdir=");
        data.push_str(&mount::option_path(work.as_fd()));
    }
    for (key, value) in settings(upper.is_some(), options) {
        data.push(',');
        data.push_str(key);
        if let Some(value) = value {
            data.push('=');
            data.push_str(value);
        }
    }
    let point = MountPoint::new()?;
    mount::mount_classic("overlay", &point.0, &data)?;
    let clone = mount::clone_path(&point.0, false);
    mount::unmount_detach(&point.0)?;
    let clone = clone?;
    mount::set_attributes(&clone, options.attributes, false)?;
    Ok(clone)
}

/// An empty directory for a moment's use.
struct MountPoint(PathBuf);

impl MountPoint {
    fn new() -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        loop {
            let count = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("cooper-mount-{}-{count}", std::process::id()));
            match rustix::fs::mkdir(&path, rustix::fs::Mode::RWXU) {
                Ok(()) => return Ok(Self(path)),
                Err(Errno::EXIST) => {}
                Err(e) => return Err(Error::at("make directory", path, e)),
            }
        }
    }
}

impl Drop for MountPoint {
    fn drop(&mut self) {
        let _ = rustix::fs::rmdir(&self.0);
    }
}

/// Tries whether overlays with an upper directory below `dir` work: mounts one, removes a file through it, and looks for
/// the whiteout. `dir` must be writable and gets a temporary directory for the time of the call.
pub fn supported(dir: &Path) -> Result<()> {
    let probe = dir.join(format!(".overlay-probe-{}", std::process::id()));
    let result = try_overlay(&probe);
    let removed = crate::fs::remove_tree(&probe);
    result.and(removed)
}

fn try_overlay(probe: &Path) -> Result<()> {
    let make = |path: &Path| rustix::fs::mkdir(path, rustix::fs::Mode::RWXU).at("make directory", path);
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| probe.join(name));
    make(probe)?;
    for path in [&lower, &upper, &work] {
        make(path)?;
    }
    make(&lower.join("gone"))?;
    // The end of any other than a volatile one syncs the whole filesystem below.
    let options = Options { volatile: true, ..Options::default() };
    let merged = mount(&[&lower], Some((&upper, &work)), options)?;
    crate::fs::rmdir_at(&merged, "gone")?;
    let left = stat_at(open_path(&upper)?, "gone")?;
    if is_whiteout(&left) {
        Ok(())
    } else {
        Err(Error::at("overlay", probe, std::io::Error::other("no whiteout was made")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::namespace::{Namespaces, unshare};

    #[test]
    fn the_classic_way_mounts_the_same() {
        if crate::process::effective_uid() != 0 {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: needs root\n");
            return;
        }
        // A thread of its own, so that a private mount namespace can be had.
        let run = || {
            unshare(Namespaces { mount: true, ..Namespaces::default() }).unwrap();
            mount::make_all_private().unwrap();
            let dir = tempfile::tempdir().unwrap();
            let path = |name: &str| dir.path().join(name);
            for name in ["one", "two", "upper", "work"] {
                std::fs::create_dir(path(name)).unwrap();
            }
            std::fs::write(path("two/gone"), "").unwrap();
            let [one, two, upper, work] = ["one", "two", "upper", "work"].map(path);
            let options = Options { volatile: true, ..Options::default() };
            let merged = mount_by_options(&[&one, &two], Some((&upper, &work)), options).unwrap();
            crate::fs::unlink_at(&merged, "gone").unwrap();
            assert!(is_whiteout(&stat_at(open_path(&upper).unwrap(), "gone").unwrap()));
            assert!(mount::is_detached(&merged).unwrap());
            assert!(!mount::is_detached(open_path(&one).unwrap()).unwrap());
        };
        std::thread::spawn(run).join().unwrap();
    }
}
