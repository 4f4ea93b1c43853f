//! Namespaces of this process, and what is inside them: host name, root directory, loopback device.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

use rustix::thread::UnshareFlags;

use crate::error::Context as _;
use crate::{Error, Result};

/// Which namespaces to leave for new ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// User and group ids, capabilities.
    pub user: bool,
    /// Mounts.
    pub mount: bool,
    /// System V IPC, POSIX message queues.
    pub ipc: bool,
    /// Host and domain name.
    pub uts: bool,
    /// Root of the control groups.
    pub cgroup: bool,
    /// Network.
    pub network: bool,
    /// Process ids: of children made from now on.
    pub pid: bool,
}

/// Moves this process, which must have one thread, into new namespaces.
pub fn unshare(namespaces: Namespaces) -> Result<()> {
    let mut flags = UnshareFlags::empty();
    flags.set(UnshareFlags::NEWUSER, namespaces.user);
    flags.set(UnshareFlags::NEWNS, namespaces.mount);
    flags.set(UnshareFlags::NEWIPC, namespaces.ipc);
    flags.set(UnshareFlags::NEWUTS, namespaces.uts);
    flags.set(UnshareFlags::NEWCGROUP, namespaces.cgroup);
    flags.set(UnshareFlags::NEWNET, namespaces.network);
    flags.set(UnshareFlags::NEWPID, namespaces.pid);
    // SAFETY: descriptors stay shared with no one else (CLONE_FILES is not asked for), so that no object of another
    // thread loses its own.
    unsafe { rustix::thread::unshare_unsafe(flags) }.at("unshare", format!("{flags:?}"))
}

/// Sets the host name of this UTS namespace.
pub fn set_hostname(name: &str) -> Result<()> {
    rustix::system::sethostname(name.as_bytes()).at("sethostname", name)
}

/// Sets the NIS domain name of this UTS namespace.
pub fn set_domainname(name: &str) -> Result<()> {
    rustix::system::setdomainname(name.as_bytes()).at("setdomainname", name)
}

/// Makes a mounted directory the root of this mount namespace, and unmounts the old root with all below it. Nothing may
/// be stacked on the old root but the new one.
pub fn pivot_root(new_root: impl AsFd, old_root: impl AsFd) -> Result<()> {
    rustix::process::fchdir(new_root).at("chdir", "new root")?;
    // The old root is put on top of the new one, from where it can be taken off without a directory for it. What is
    // unmounted is the topmost mount of where one is: hence the need to be in the old root.
    rustix::process::pivot_root(".", ".").at("pivot_root", ".")?;
    rustix::process::fchdir(old_root).at("chdir", "old root")?;
    rustix::mount::unmount(".", rustix::mount::UnmountFlags::DETACH).at("unmount", "old root")?;
    rustix::process::chdir("/").at("chdir", "/")
}

/// Changes the working directory.
pub fn change_dir(path: &std::path::Path) -> Result<()> {
    rustix::process::chdir(path).at("chdir", path)
}

/// Brings the loopback device of this network namespace up.
pub fn loopback_up() -> Result<()> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .at("socket", "lo")?;
    // The type differs between C libraries, and not always in the same way as that of libc's constant.
    const SIOCSIFFLAGS: libc::Ioctl = 0x8914;
    // SAFETY: an ifreq of zeros is valid; the name "lo" fits with its zero at the end; the flags member is the one that
    // SIOCSIFFLAGS reads.
    let result = unsafe {
        let mut request = std::mem::zeroed::<libc::ifreq>();
        std::ptr::copy_nonoverlapping(c"lo".as_ptr(), request.ifr_name.as_mut_ptr(), 3);
        #[allow(clippy::cast_possible_truncation, reason = "IFF_UP and IFF_RUNNING fit")]
        let flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        request.ifr_ifru.ifru_flags = flags;
        libc::ioctl(socket.as_raw_fd(), SIOCSIFFLAGS, &raw const request)
    };
    if result == 0 { Ok(()) } else { Err(Error::new("bring up", "lo", io::Error::last_os_error())) }
}
