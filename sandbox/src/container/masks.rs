//! Paths of `/proc` and `/sys` that a container must not read or write.
//!
//! The lists are the union of those of containerd, Docker and Podman. A file is hidden by `/dev/null`, a directory by an
//! empty read-only tmpfs; what is missing is skipped.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use cooper_sys::fs::{self, OFlags};
use cooper_sys::mount::{self, Attributes, FsOption};

use super::Step as _;
use super::mounts::Stage;
use crate::wire::{Failure, Order};

const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const CPUS: &str = "/sys/devices/system/cpu";

/// Hides what must be hidden, unless the container is insecure.
pub fn apply(order: &Order, stage: &Stage<'_>) -> Result<(), Failure> {
    if order.insecure {
        return Ok(());
    }
    for path in MASKED.iter().map(PathBuf::from).chain(thermal_throttles(stage.root())) {
        mask(stage, &path)?;
    }
    for path in READ_ONLY {
        make_read_only(stage.root(), Path::new(path))?;
    }
    Ok(())
}

/// What is at a path of the root; `None` when nothing is.
fn find(root: &OwnedFd, path: &Path) -> Result<Option<OwnedFd>, Failure> {
    match fs::resolve_in_root(root, path, OFlags::NOFOLLOW) {
        Ok(fd) => Ok(Some(fd)),
        Err(e) if e.is_not_found() || e.kind() == std::io::ErrorKind::NotADirectory => Ok(None),
        Err(e) => Err(Failure::new("mask", &e)),
    }
}

fn mask(stage: &Stage<'_>, path: &Path) -> Result<(), Failure> {
    let Some(target) = find(stage.root(), path)? else { return Ok(()) };
    let step = format!("mask {}", path.display());
    let cover = if fs::fstat(&target).step(&step)?.is_dir() {
        let value = |key, value: &str| FsOption::Value(key, value.to_owned());
        let options = [value("nr_blocks", "1"), value("nr_inodes", "1"), value("mode", "755")];
        mount::mount_fs("tmpfs", &options, Attributes::HARMLESS.read_only()).step(&step)?
    } else {
        stage.devices().null().step(&step)?
    };
    mount::move_mount(&cover, &target).step(&step)
}

fn make_read_only(root: &OwnedFd, path: &Path) -> Result<(), Failure> {
    let Some(target) = find(root, path)? else { return Ok(()) };
    let step = format!("read-only {}", path.display());
    let clone = mount::clone_fd(&target, true).step(&step)?;
    mount::set_attributes(&clone, Attributes::HARMLESS.read_only(), true).step(&step)?;
    mount::move_mount(&clone, &target).step(&step)
}

/// Counters of each processor that tell about the load of others.
fn thermal_throttles(root: &OwnedFd) -> Vec<PathBuf> {
    let Ok(cpus) = fs::resolve_in_root(root, CPUS, OFlags::DIRECTORY) else { return Vec::new() };
    let is_cpu = |name: &[u8]| {
        name.strip_prefix(b"cpu")
            .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
    };
    let entries = fs::read_dir_sorted(cpus).unwrap_or_default();
    let cpus = entries.iter().filter(|entry| is_cpu(entry.name.as_bytes()));
    cpus.map(|entry| Path::new(CPUS).join(&entry.name).join("thermal_throttle")).collect()
}
