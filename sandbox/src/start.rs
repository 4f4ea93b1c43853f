//! Starting a container from the builder, waiting for it, killing it.
//!
//! The mother of containers (see `init`) is this program again, executed from a sealed copy: no descriptor of the builder
//! gets into it but the socket for orders. An order brings a socket of its own for what follows, and the two outputs.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use cooper_sys::{channel, executable};

use crate::init::{INIT_NAME, is_hooked};
use crate::wire::{Handed, Report, hand_over};
use crate::{Error, Result, Spec};

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl ExitStatus {
    /// True for code 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }

    /// The code, or 128 and the signal, as shells show it.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// A running container. Dropping it kills all its processes and waits until they are gone.
#[derive(Debug)]
pub struct Child {
    socket: Arc<UnixStream>,
    ended: Option<ExitStatus>,
}

/// Kills a container from anywhere. Clones are one and the same; it may outlive the container.
#[derive(Clone, Debug)]
pub struct Killer(Arc<UnixStream>);

impl Killer {
    /// Kills every process of the container; fine if it has ended. Does not wait.
    pub fn kill(&self) {
        // The helper reads nothing more after its order: the end of our side is the sign. An error means that it is gone.
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

/// The mother, as the builder holds her.
#[derive(Debug)]
struct Mother {
    process: std::process::Child,
    orders: UnixStream,
}

static MOTHER: Mutex<Option<Mother>> = Mutex::new(None);

impl Mother {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one wrapper for containers: no environment, close-on-exec everywhere"
    )]
    fn start() -> Result<Self> {
        if !is_hooked() {
            return Err(Error::NoInit);
        }
        let program = executable::sealed_copy()?;
        let failed = |e| cooper_sys::Error::new("start", "container helper", e);
        let (orders, theirs) = UnixStream::pair().map_err(failed)?;
        let process = Command::new(program)
            .arg0(INIT_NAME)
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        Ok(Self { process, orders })
    }
}

impl Drop for Mother {
    fn drop(&mut self) {
        let _ = self.orders.shutdown(Shutdown::Both);
        let _ = self.process.wait();
    }
}

/// Makes the process from which containers come, if it is not there yet: the first [`start`] then has less to do.
pub fn warm_up() -> Result<()> {
    let mut mother = MOTHER.lock().unwrap_or_else(PoisonError::into_inner);
    if mother.is_none() {
        *mother = Some(Mother::start()?);
    }
    Ok(())
}

/// Gives an order to the mother; to a new one if she has died.
fn order(bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    warm_up()?;
    let mut mother = MOTHER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(alive) = mother.as_ref() {
        match channel::send(&alive.orders, bytes, fds) {
            Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            done => return Ok(done?),
        }
    }
    *mother = None;
    let fresh = mother.insert(Mother::start()?);
    Ok(channel::send(&fresh.orders, bytes, fds)?)
}

/// Starts a container. Returns when the command has been executed, or the reason why it could not be.
pub fn start(spec: Spec) -> Result<Child> {
    let Handed { order: text, fds, stdout, stderr } = hand_over(spec)?;
    let bytes = serde_json::to_vec(&text).map_err(|e| Error::Spec(e.to_string()))?;
    let (ours, theirs) =
        UnixStream::pair().map_err(|e| cooper_sys::Error::new("start", "container helper", e))?;
    let theirs = OwnedFd::from(theirs);
    let borrowed: Vec<_> = [&theirs, &stdout, &stderr].into_iter().chain(&fds).map(|fd| fd.as_fd()).collect();
    order(&bytes, &borrowed)?;
    drop((theirs, stdout, stderr, fds));
    let child = Child { socket: Arc::new(ours), ended: None };
    match child.next_report()? {
        Report::Started => Ok(child),
        Report::Failed(failure) => Err(failure.into()),
        Report::Exited(_) | Report::Signalled(_) => Err(Error::HelperDied("end before start".to_owned())),
    }
}

impl Child {
    /// Waits until the command has ended, and with it every process of the container and every mount.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        let status = match self.next_report()? {
            Report::Exited(code) => ExitStatus::Code(code),
            Report::Signalled(signal) => ExitStatus::Signal(signal),
            Report::Started | Report::Failed(_) => return Err(Error::HelperDied("second start".to_owned())),
        };
        self.ended = Some(status);
        Ok(status)
    }

    /// A handle that kills the container.
    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.socket))
    }

    fn next_report(&self) -> Result<Report> {
        match channel::receive(&self.socket)? {
            Some((bytes, _)) => serde_json::from_slice(&bytes).map_err(|e| Error::HelperDied(e.to_string())),
            None => Err(Error::HelperDied("it was killed".to_owned())),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.killer().kill();
            // The helper ends only after the last process of the container, and its end of the socket with it.
            while let Ok(Some(_)) = channel::receive(&self.socket) {}
        }
    }
}
