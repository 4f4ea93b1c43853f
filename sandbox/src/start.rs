//! Starting a container from the builder, waiting for it, killing it.
//!
//! The helper is this program again, executed from a sealed copy: no descriptor of the builder gets into it but the
//! socket and the two outputs.

use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

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
    helper: std::process::Child,
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

/// Starts a container. Returns when the command has been executed, or the reason why it could not be.
#[expect(
    clippy::disallowed_methods,
    reason = "the one wrapper for containers: no environment, close-on-exec everywhere"
)]
pub fn start(spec: Spec) -> Result<Child> {
    if !is_hooked() {
        return Err(Error::NoInit);
    }
    let Handed { order, fds, stdout, stderr } = hand_over(spec)?;
    let program = executable::sealed_copy()?;
    let failed = |e| cooper_sys::Error::new("start", "container helper", e);
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let helper = Command::new(program)
        .arg0(INIT_NAME)
        .env_clear()
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::from(stderr))
        .spawn()
        .map_err(failed)?;
    let mut child = Child { helper, socket: Arc::new(ours), ended: None };
    let bytes = serde_json::to_vec(&order).map_err(|e| Error::Spec(e.to_string()))?;
    let borrowed: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
    channel::send(&child.socket, &bytes, &borrowed)?;
    drop(fds);
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
        self.helper.wait().map_err(|e| cooper_sys::Error::new("wait", "container helper", e))?;
        Ok(status)
    }

    /// A handle that kills the container.
    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.socket))
    }

    fn next_report(&mut self) -> Result<Report> {
        if let Some((bytes, _)) = channel::receive(&self.socket)? {
            return serde_json::from_slice(&bytes).map_err(|e| Error::HelperDied(e.to_string()));
        }
        let status = self.helper.wait().map_err(|e| cooper_sys::Error::new("wait", "container helper", e))?;
        Err(Error::HelperDied(status.to_string()))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.killer().kill();
        // Reaps the helper; it ends only after the last process of the container.
        let _ = self.helper.wait();
    }
}
