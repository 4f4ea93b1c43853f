//! `/dev`.
//!
//! A tmpfs on which no device node can be opened, with a bind mount for each node that a container may use. So a node
//! that a command makes itself stays without effect, here as on every other mount, though it has CAP_MKNOD.

use std::os::fd::OwnedFd;
use std::path::Path;

use cooper_sys::fs::{self, FileKind, OFlags};
use cooper_sys::mount::{self, Attributes, FsOption};

use super::Step as _;
use super::scratch::Scratch;
use crate::wire::Failure;

/// Name and number of the nodes that every container has.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// More nodes of an insecure container, where the host has them.
const INSECURE_NODES: [(&str, u32, u32); 6] = [
    ("kmsg", 1, 11),
    ("cuse", 10, 203),
    ("fuse", 10, 229),
    ("kvm", 10, 232),
    ("net/tun", 10, 200),
    ("loop-control", 10, 237),
];
const LOOP_MAJOR: u32 = 7;
const LOOP_COUNT: u32 = 8;

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// The device nodes of a container, by name below `/dev`, ready to be bound.
pub struct Devices {
    nodes: Vec<(String, OwnedFd)>,
}

impl Devices {
    /// Makes the nodes, or takes those of the host where making any is forbidden (in a user namespace).
    pub fn new(scratch: &Scratch, insecure: bool) -> Result<Self, Failure> {
        let mut nodes = Vec::new();
        for (name, major, minor) in NODES {
            nodes.push((
                name.to_owned(),
                node(scratch, name, FileKind::CharDevice, major, minor).step("device")?,
            ));
        }
        if insecure {
            for (name, major, minor) in INSECURE_NODES {
                if Path::new("/dev").join(name).exists() {
                    nodes.extend(
                        node(scratch, name, FileKind::CharDevice, major, minor)
                            .map(|fd| (name.to_owned(), fd)),
                    );
                }
            }
            for minor in 0..LOOP_COUNT {
                let name = format!("loop{minor}");
                nodes.extend(
                    node(scratch, &name, FileKind::BlockDevice, LOOP_MAJOR, minor).map(|fd| (name, fd)),
                );
            }
        }
        Ok(Self { nodes })
    }

    /// A detached mount of `/dev/null`, to hide a file with.
    pub fn null(&self) -> cooper_sys::Result<OwnedFd> {
        let null = self.nodes.iter().find(|(name, _)| name == "null");
        let (_, null) = null.ok_or_else(|| {
            cooper_sys::Error::new("find", "/dev/null", std::io::Error::from(std::io::ErrorKind::NotFound))
        })?;
        let clone = mount::clone_fd(null, false)?;
        mount::set_attributes(
            &clone,
            Attributes { read_only: true, nosuid: true, nodev: false, noexec: true },
            false,
        )?;
        Ok(clone)
    }

    /// A detached tmpfs for `/dev`.
    pub fn tmpfs(insecure: bool) -> cooper_sys::Result<OwnedFd> {
        let options =
            [FsOption::Value("mode", "755".to_owned()), FsOption::Value("size", "65536k".to_owned())];
        mount::mount_fs(
            "tmpfs",
            &options,
            Attributes { nosuid: true, nodev: !insecure, ..Attributes::default() },
        )
    }

    /// Fills `/dev`, which must be mounted already.
    pub fn fill(&self, dev: &OwnedFd) -> Result<(), Failure> {
        for (name, node) in &self.nodes {
            let point = fs::create_all_in_root(dev, name, 0o666).step(name)?;
            let clone = mount::clone_fd(node, false).step(name)?;
            let attributes = Attributes { nosuid: true, noexec: true, ..Attributes::default() };
            mount::set_attributes(&clone, attributes, false).step(name)?;
            mount::move_mount(&clone, &point).step(name)?;
        }
        for (name, target) in LINKS {
            fs::symlink_at(target, dev, name).step(name)?;
        }
        if Path::new("/proc/kcore").exists() {
            fs::symlink_at("/proc/kcore", dev, "core").step("core")?;
        }
        Ok(())
    }
}

fn node(
    scratch: &Scratch,
    name: &str,
    kind: FileKind,
    major: u32,
    minor: u32,
) -> cooper_sys::Result<OwnedFd> {
    match scratch.device(kind, major, minor) {
        Err(e) if e.is_denied() => {}
        other => return other,
    }
    let path = Path::new("/dev").join(name);
    let dev = fs::open_dir(Path::new("/dev"))?;
    let host = fs::resolve_in_root(&dev, name, OFlags::NOFOLLOW)?;
    let stat = fs::fstat(&host)?;
    if (stat.kind, stat.rdev_major, stat.rdev_minor) == (kind, major, minor) {
        Ok(host)
    } else {
        let reason = format!("not the device {major}:{minor}");
        Err(cooper_sys::Error::at("check", path, std::io::Error::other(reason)))
    }
}
