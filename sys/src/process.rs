//! One's own process: forking while single-threaded, identity, limits, signals, execution.
//!
//! Must not: fork a process that has threads ([`fork`] refuses). Nothing here is for the builder itself, only for the
//! short-lived helpers around it.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Resource as RawResource, Rlimit, Signal, WaitId, WaitIdOptions};

use crate::error::Context as _;
use crate::{Error, Result};

/// Which side of a [`fork`] one is on.
#[derive(Debug)]
pub enum Fork {
    /// The new process.
    Child,
    /// The old process, with a handle of the new one.
    Parent(Process),
}

/// A child process, held by its pidfd.
#[derive(Debug)]
pub struct Process {
    pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Process {
    /// Sends SIGKILL; fine if it has ended already.
    pub fn kill(&self) -> Result<()> {
        match rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(e) => Err(Error::new("kill", "", e)),
        }
    }

    /// Waits for its end and reaps it.
    pub fn wait(&self) -> Result<Ended> {
        loop {
            match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Ok(Some(status)) => {
                    return Ok(status.exit_status().map_or_else(
                        || Ended::Signal(status.terminating_signal().unwrap_or(libc::SIGKILL)),
                        Ended::Code,
                    ));
                }
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(Error::new("wait", "", e)),
            }
        }
    }
}

impl AsFd for Process {
    /// The pidfd: readable when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Number of threads of this process.
pub fn thread_count() -> Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task").at("count threads", "/proc/self/task")?.count())
}

/// Forks. Refused while the process has more than one thread, because the child could then hang on a lock that nobody
/// will free.
pub fn fork() -> Result<Fork> {
    if thread_count()? != 1 {
        return Err(Error::new("fork", "a process with threads", io::Error::other("not single-threaded")));
    }
    // SAFETY: this process has one thread, so that the child is a full copy and may run any code.
    let pid = unsafe { libc::fork() };
    match pid {
        0 => Ok(Fork::Child),
        pid if pid > 0 => {
            let pid = Pid::from_raw(pid)
                .ok_or_else(|| Error::new("fork", "", io::Error::other("no process id")))?;
            // The child cannot be reaped before this by anyone but us, so that the number is still its own.
            let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).at("pidfd_open", "")?;
            Ok(Fork::Parent(Process { pidfd }))
        }
        _ => Err(Error::new("fork", "", io::Error::last_os_error())),
    }
}

/// Ends this process at once, without running any destructor or exit handler.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Waits until one of the descriptors is readable or was closed on its other side; one flag for each.
pub fn wait_readable<const N: usize>(fds: [BorrowedFd<'_>; N]) -> Result<[bool; N]> {
    let mut polled = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    loop {
        match rustix::event::poll(&mut polled, None) {
            Ok(_) => return Ok(polled.map(|fd| !fd.revents().is_empty())),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(Error::new("poll", "", e)),
        }
    }
}

/// A pipe, both ends close-on-exec: reading end, writing end.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).at("pipe", "")
}

/// Makes `fd` the standard input of this process.
pub fn set_stdin(fd: impl AsFd) -> Result<()> {
    rustix::stdio::dup2_stdin(fd).at("dup2", "stdin")
}

/// Gives the calling thread, and those that it starts, only time that others leave. Best effort.
pub fn lower_priority() {
    // Never refused: only the other direction is a privilege.
    let _ = rustix::process::setpriority_process(None, 10);
}

/// As [`lower_priority`], for what nobody waits for: whoever else wants the processor gets it at once (sched(7),
/// `SCHED_IDLE`).
pub fn lowest_priority() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: reads the parameters, which live until it returns; 0 is the calling thread.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
}

/// Makes these the standard output and the standard error of this process.
pub fn set_outputs(stdout: impl AsFd, stderr: impl AsFd) -> Result<()> {
    rustix::stdio::dup2_stdout(stdout).at("dup2", "stdout")?;
    rustix::stdio::dup2_stderr(stderr).at("dup2", "stderr")
}

/// Reaps all children that have ended, without waiting for any.
pub fn reap_children() {
    while let Ok(Some(_)) =
        rustix::process::waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    {}
}

/// Becomes leader of a new session without a terminal.
pub fn new_session() -> Result<()> {
    rustix::process::setsid().at("setsid", "").map(drop)
}

/// Asks for SIGKILL when the thread that made this process ends. Lost when a set-user-ID program is executed.
pub fn die_with_parent() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).at("prctl", "parent death signal")
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: u32) -> Result<()> {
    close_range(first, 0).at("close_range", "")
}

/// Marks every descriptor from `first` on to be closed at exec.
pub fn close_from_at_exec(first: u32) -> Result<()> {
    close_range(first, libc::CLOSE_RANGE_CLOEXEC).at("close_range", "")
}

fn close_range(first: u32, flags: u32) -> io::Result<()> {
    // SAFETY: no memory is passed. Descriptors that Rust objects still own may be closed by this: callers are helper
    // processes that own none beyond `first`, or end right after.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives every signal its default action and blocks none.
pub fn reset_signals() -> Result<()> {
    // The kernel's sigaction: handler (SIG_DFL is 0), flags, restorer, mask.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the structure is as long as the kernel reads and installs no handler. The raw call is used because libc
        // refuses the two signals that it keeps for itself, which posix_spawn leaves ignored. SIGKILL and SIGSTOP are
        // refused, which is fine.
        unsafe {
            let no_old = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), no_old, size_of::<u64>());
        }
    }
    // SAFETY: the set is initialised by sigemptyset before it is read.
    let result = unsafe {
        let mut empty = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut empty);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(Error::new("sigprocmask", "", io::Error::last_os_error())) }
}

/// Sets the supplementary groups.
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: the pointer and the length describe one slice of gid_t. The raw call sets them for this thread; callers
    // have one.
    let result = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    if result == 0 {
        Ok(())
    } else {
        Err(Error::new("setgroups", format!("{groups:?}"), io::Error::last_os_error()))
    }
}

/// Sets real, effective and saved group, of this thread only.
pub fn set_gid(gid: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    let result = unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) };
    if result == 0 { Ok(()) } else { Err(Error::new("setgid", gid.to_string(), io::Error::last_os_error())) }
}

/// Sets real, effective and saved user, of this thread only. With `keep_capabilities` the permitted set survives.
pub fn set_uid(uid: u32, keep_capabilities: bool) -> Result<()> {
    // SAFETY: no memory is passed.
    let result =
        unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, libc::c_ulong::from(keep_capabilities), 0, 0, 0) };
    if result != 0 {
        return Err(Error::new("prctl", "keep capabilities", io::Error::last_os_error()));
    }
    // SAFETY: no memory is passed.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
    if result == 0 { Ok(()) } else { Err(Error::new("setuid", uid.to_string(), io::Error::last_os_error())) }
}

/// prctl(2) for options whose arguments are numbers. All five are passed at full width, as the kernel checks those that
/// an option does not use.
pub(crate) fn prctl(option: libc::c_int, first: libc::c_ulong, second: libc::c_ulong) -> libc::c_int {
    let none: libc::c_ulong = 0;
    // SAFETY: callers use only options that take no pointer.
    unsafe { libc::prctl(option, first, second, none, none) }
}

/// Effective user of this process.
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Effective group of this process.
pub fn effective_gid() -> u32 {
    rustix::process::getegid().as_raw()
}

/// Joins a new session keyring of the given name, so that no keys of the caller are seen.
pub fn join_new_keyring(name: &str) -> Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    let c_name = CString::new(name).at("keyctl", name)?;
    // SAFETY: the name is a C string that outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, c_name.as_ptr()) };
    if result >= 0 { Ok(()) } else { Err(Error::new("keyctl", name, io::Error::last_os_error())) }
}

/// A limit of a process (`setrlimit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of setrlimit(2), in lower case those of ulimit options")]
pub enum Resource {
    As,
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

impl Resource {
    /// All of them, with the names that `--ulimit` uses.
    pub const ALL: [(&'static str, Self); 16] = [
        ("as", Self::As),
        ("core", Self::Core),
        ("cpu", Self::Cpu),
        ("data", Self::Data),
        ("fsize", Self::Fsize),
        ("locks", Self::Locks),
        ("memlock", Self::Memlock),
        ("msgqueue", Self::Msgqueue),
        ("nice", Self::Nice),
        ("nofile", Self::Nofile),
        ("nproc", Self::Nproc),
        ("rss", Self::Rss),
        ("rtprio", Self::Rtprio),
        ("rttime", Self::Rttime),
        ("sigpending", Self::Sigpending),
        ("stack", Self::Stack),
    ];

    /// The resource of a `--ulimit` name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, resource)| *resource)
    }

    /// The `--ulimit` name of the resource.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    fn raw(self) -> RawResource {
        match self {
            Self::As => RawResource::As,
            Self::Core => RawResource::Core,
            Self::Cpu => RawResource::Cpu,
            Self::Data => RawResource::Data,
            Self::Fsize => RawResource::Fsize,
            Self::Locks => RawResource::Locks,
            Self::Memlock => RawResource::Memlock,
            Self::Msgqueue => RawResource::Msgqueue,
            Self::Nice => RawResource::Nice,
            Self::Nofile => RawResource::Nofile,
            Self::Nproc => RawResource::Nproc,
            Self::Rss => RawResource::Rss,
            Self::Rtprio => RawResource::Rtprio,
            Self::Rttime => RawResource::Rttime,
            Self::Sigpending => RawResource::Sigpending,
            Self::Stack => RawResource::Stack,
        }
    }
}

/// Sets the soft and the hard limit; `u64::MAX` is "unlimited".
pub fn set_rlimit(resource: Resource, soft: u64, hard: u64) -> Result<()> {
    let limit = |value| (value != u64::MAX).then_some(value);
    rustix::process::setrlimit(resource.raw(), Rlimit { current: limit(soft), maximum: limit(hard) })
        .at("setrlimit", resource.name())
}

/// The hard limit in force; `u64::MAX` is "unlimited".
pub fn hard_rlimit(resource: Resource) -> u64 {
    rustix::process::getrlimit(resource.raw()).maximum.unwrap_or(u64::MAX)
}

/// Arguments and environment, ready for [`execute`], which must not allocate in the face of a failure.
pub struct Command {
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Command {
    /// From arguments and `KEY=value` lines. A zero byte in any of them is an error.
    pub fn new(
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        environment: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Self> {
        let c_string = |text: &OsStr| CString::new(text.as_bytes()).at("exec", text);
        Ok(Self {
            arguments: arguments.into_iter().map(|text| c_string(text.as_ref())).collect::<Result<_>>()?,
            environment: environment
                .into_iter()
                .map(|text| c_string(text.as_ref()))
                .collect::<Result<_>>()?,
        })
    }

    /// Becomes the program at `path`. Returns only when that failed.
    pub fn execute(&self, path: &Path) -> Error {
        let c_path = match CString::new(path.as_os_str().as_bytes()) {
            Ok(path) => path,
            Err(e) => return Error::at("exec", path, e),
        };
        let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
            list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let (arguments, environment) = (pointers(&self.arguments), pointers(&self.environment));
        // SAFETY: both arrays end with a null pointer and point to C strings that `self` owns.
        unsafe { libc::execve(c_path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
        Error::at("exec", path, io::Error::last_os_error())
    }
}

/// The name of a user of the host, from its user database.
pub fn user_name(uid: u32) -> Option<String> {
    let mut buffer = vec![0; 16 << 10];
    // SAFETY: `entry` is only read after the call filled it; the strings in it point into `buffer`, which lives on.
    unsafe {
        let mut entry = std::mem::zeroed::<libc::passwd>();
        let mut found = std::ptr::null_mut();
        let result = libc::getpwuid_r(uid, &raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut found);
        if result != 0 || found.is_null() {
            return None;
        }
        std::ffi::CStr::from_ptr(entry.pw_name).to_str().ok().map(str::to_owned)
    }
}
