//! The mounts of a container: the default ones and those of the caller, in one list, parents first.
//!
//! Every target is resolved inside the root, with the mounts already on it, and every mount is a descriptor.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cooper_sys::fs::{self, OFlags};
use cooper_sys::mount::{self, Attributes, FsOption};
use cooper_sys::namespace;

use super::Step as _;
use super::devices::Devices;
use super::scratch::Scratch;
use crate::wire::{Failure, Order, Ordered, OrderedKind};

const DEFAULT_SHM_BYTES: u64 = 64 << 20;
/// Type of the unified control group filesystem, as statfs shows it.
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// A container's root while it is being furnished. The old root is still there.
pub struct Stage<'a> {
    order: &'a Order,
    root: OwnedFd,
    old_root: OwnedFd,
    scratch: Scratch,
    devices: Devices,
    /// Detached mounts of the caller, by their place in the order.
    ready: Vec<Option<OwnedFd>>,
}

/// What goes on one target.
enum What<'a> {
    Proc,
    Dev,
    Pts,
    Shm,
    Mqueue,
    Sys,
    Cgroup,
    File(&'a [u8]),
    Ordered(&'a OrderedKind),
}

impl<'a> Stage<'a> {
    pub fn new(order: &'a Order, fds: Vec<OwnedFd>) -> Result<Self, Failure> {
        let scratch = Scratch::new().step("scratch directory")?;
        let devices = Devices::new(&scratch, order.insecure)?;
        let mut ready: Vec<Option<OwnedFd>> = fds.into_iter().map(Some).collect();
        let root = ready.first_mut().and_then(Option::take);
        let root = root.ok_or_else(|| Failure::plain("root", "no descriptor was handed over".to_owned()))?;
        let old_root = fs::open_path(Path::new("/")).step("root")?;
        mount::move_mount(&root, &old_root).step("root")?;
        Ok(Self { order, root, old_root, scratch, devices, ready })
    }

    /// Leaves the old root for the new one.
    pub fn enter(self) -> Result<(), Failure> {
        namespace::pivot_root(&self.root, &self.old_root).step("change root")
    }

    pub fn root(&self) -> &OwnedFd {
        &self.root
    }

    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// Mounts everything but masks.
    pub fn mount_all(mut self) -> Result<Self, Failure> {
        for (target, what) in plan(self.order) {
            let step = format!("mount {}", target.display());
            self.mount_one(&target, &what).map_err(|failure| Failure { step, ..failure })?;
        }
        Ok(self)
    }

    fn mount_one(&mut self, target: &Path, what: &What<'_>) -> Result<(), Failure> {
        let harmless = Attributes::HARMLESS;
        let value = |key, value: String| FsOption::Value(key, value);
        let mount = match what {
            What::Proc => mount::mount_fs("proc", &[], harmless).map_err(|e| proc_failure(&e))?,
            What::Dev => {
                let dev = Devices::tmpfs(self.order.insecure).step("")?;
                mount::move_mount(&dev, self.plain_dir(target)?).step("")?;
                return self.devices.fill(&dev);
            }
            What::Pts => {
                let attributes = Attributes { nodev: false, ..harmless };
                let mut options =
                    vec![value("ptmxmode", "0666".to_owned()), value("mode", "0620".to_owned())];
                let without_group = options.clone();
                options.push(value("gid", "5".to_owned()));
                // The group may have no mapping in a user namespace.
                mount::mount_fs("devpts", &options, attributes)
                    .or_else(|_| mount::mount_fs("devpts", &without_group, attributes))
                    .step("")?
            }
            What::Shm => {
                let size = if self.order.shm_size_bytes == 0 {
                    DEFAULT_SHM_BYTES
                } else {
                    self.order.shm_size_bytes
                };
                let options = [value("mode", "1777".to_owned()), value("size", size.to_string())];
                mount::mount_fs("tmpfs", &options, harmless).step("")?
            }
            // Kernels may be built without it.
            What::Mqueue => match mount::mount_fs("mqueue", &[], harmless) {
                Ok(mount) => mount,
                Err(_) => return Ok(()),
            },
            What::Sys => self.sys().step("")?,
            What::Cgroup => match self.cgroup() {
                Some(mount) => mount,
                None => return Ok(()),
            },
            What::File(data) => self.scratch.file(data, 0, 0, 0o644).step("")?,
            What::Ordered(kind) => self.ordered(kind)?,
        };
        let target = match what {
            What::Proc | What::Sys => self.plain_dir(target)?,
            What::Cgroup => match fs::resolve_in_root(&self.root, target, OFlags::DIRECTORY) {
                Ok(target) => target,
                Err(_) => return Ok(()),
            },
            _ => self.target(target, &mount)?,
        };
        mount::move_mount(&mount, &target).step("")
    }

    fn ordered(&mut self, kind: &OrderedKind) -> Result<OwnedFd, Failure> {
        match kind {
            OrderedKind::Ready { fd } => {
                let mount = self.ready.get_mut(*fd).and_then(Option::take);
                mount.ok_or_else(|| Failure::plain("", "its descriptor was not handed over".to_owned()))
            }
            OrderedKind::Tmpfs { size_bytes, mode, read_only } => {
                let mut options = vec![FsOption::Value("mode", format!("{mode:o}"))];
                options.extend(size_bytes.map(|size| FsOption::Value("size", size.to_string())));
                let attributes =
                    Attributes { read_only: *read_only, nosuid: true, nodev: true, noexec: false };
                mount::mount_fs("tmpfs", &options, attributes).step("")
            }
            OrderedKind::File { data, uid, gid, mode } => {
                self.scratch.file(&data.0, *uid, *gid, *mode).step("")
            }
        }
    }

    /// An own sysfs, or the host's where the network namespace is not ours: both show the devices of one network.
    fn sys(&self) -> cooper_sys::Result<OwnedFd> {
        let attributes = Attributes { read_only: !self.order.insecure, ..Attributes::HARMLESS };
        match mount::mount_fs("sysfs", &[], attributes) {
            Err(e) if e.is_denied() => {}
            other => return other,
        }
        let clone = mount::clone_path(Path::new("/sys"), true)?;
        mount::set_attributes(&clone, Attributes::HARMLESS.read_only(), true)?;
        Ok(clone)
    }

    /// The unified hierarchy, if the host has it; the old one is left out.
    fn cgroup(&self) -> Option<OwnedFd> {
        let host = fs::open_path(Path::new("/sys/fs/cgroup")).ok()?;
        if fs::statfs(host).ok()?.magic != CGROUP2_MAGIC {
            return None;
        }
        let attributes = Attributes { read_only: !self.order.insecure, ..Attributes::HARMLESS };
        mount::mount_fs("cgroup2", &[], attributes).ok()
    }

    /// A directory right below the root that is no link, made if it is missing.
    fn plain_dir(&self, target: &Path) -> Result<OwnedFd, Failure> {
        let name: &OsStr = target.file_name().unwrap_or_default();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match fs::open_at(&self.root, name, flags) {
            Ok(dir) => Ok(dir),
            Err(e) if e.is_not_found() => {
                fs::mkdir_at(&self.root, name, 0o755).step("")?;
                fs::open_at(&self.root, name, flags).step("")
            }
            Err(e) => Err(Failure::plain("", format!("not a directory in the root: {}", e.source))),
        }
    }

    /// What lies at a target, made if it is missing.
    fn target(&self, target: &Path, mount: &OwnedFd) -> Result<OwnedFd, Failure> {
        let dir = fs::fstat(mount).step("")?.is_dir();
        let flags = if dir { OFlags::DIRECTORY } else { OFlags::empty() };
        match fs::resolve_in_root(&self.root, target, flags) {
            Ok(fd) => Ok(fd),
            Err(e) if e.is_not_found() && dir => {
                fs::mkdir_all_in_root(&self.root, target, 0o755, |_, _| Ok(())).step("")
            }
            Err(e) if e.is_not_found() => fs::create_all_in_root(&self.root, target, 0o644).step(""),
            Err(e) => Err(Failure::new("", &e)),
        }
    }
}

/// A user namespace may have a new `/proc` only where all of the old one can be seen.
fn proc_failure(error: &cooper_sys::Error) -> Failure {
    let hint = if error.is_denied() {
        "; parts of /proc are hidden where this program runs: start the outer container with an unmasked one \
         (docker run --security-opt systempaths=unconfined, Kubernetes procMount: Unmasked), or run as root"
    } else {
        ""
    };
    Failure::plain("", format!("{error}{hint}"))
}

/// All mounts, parents first, the caller's instead of the default ones that they cover.
fn plan(order: &Order) -> Vec<(PathBuf, What<'_>)> {
    let mut plan: Vec<(PathBuf, What<'_>)> = [
        ("/proc", What::Proc),
        ("/dev", What::Dev),
        ("/dev/pts", What::Pts),
        ("/dev/shm", What::Shm),
        ("/dev/mqueue", What::Mqueue),
        ("/sys", What::Sys),
        ("/sys/fs/cgroup", What::Cgroup),
        ("/etc/hosts", What::File(&order.hosts.0)),
        ("/etc/resolv.conf", What::File(&order.resolv_conf.0)),
    ]
    .map(|(path, what)| (PathBuf::from(path), what))
    .into();
    // A default mount below a directory that the caller mounts would be a change of his.
    let targets: Vec<PathBuf> = order.mounts.iter().map(|mount| mount.target.path()).collect();
    plan.retain(|(path, _)| !targets.iter().any(|target| path.starts_with(target)));
    let last = |place: usize, target: &PathBuf| !targets[place + 1..].contains(target);
    for (place, Ordered { what, .. }) in order.mounts.iter().enumerate() {
        if last(place, &targets[place]) {
            plan.push((targets[place].clone(), What::Ordered(what)));
        }
    }
    plan.sort_by_key(|(path, _)| path.components().count());
    plan
}
