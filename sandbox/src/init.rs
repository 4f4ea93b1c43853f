//! The helper between builder and container: makes the namespaces, forks PID 1, waits.
//!
//! It has one thread, owns nothing but its socket, and lives as long as the container. When the builder's end of the
//! socket closes, for whatever reason, it kills PID 1, and the kernel then ends every other process of the container.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use cooper_sys::channel;
use cooper_sys::namespace::{Namespaces, unshare};
use cooper_sys::process::{self, Ended, Fork, Process};

use crate::container;
use crate::wire::{Failure, Order, Report};

/// Name under which the program is executed to become the helper.
pub(crate) const INIT_NAME: &str = "cooper-sandbox-init";

static HOOKED: AtomicBool = AtomicBool::new(false);

/// Becomes the container's helper if this program was executed as one, and then never returns. Must be the first thing
/// that `main` does.
pub fn maybe_init() {
    HOOKED.store(true, Ordering::Relaxed);
    if std::env::args_os().next().is_some_and(|name| name == INIT_NAME) {
        process::exit_now(i32::from(serve().is_err()));
    }
}

/// True once [`maybe_init`] has been called.
pub(crate) fn is_hooked() -> bool {
    HOOKED.load(Ordering::Relaxed)
}

fn serve() -> cooper_sys::Result<()> {
    process::close_from(3)?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned();
    let socket = UnixStream::from(socket.map_err(|e| cooper_sys::Error::new("dup", "stdin", e))?);
    let Some((bytes, fds)) = channel::receive(&socket)? else { return Ok(()) };
    let report = match serde_json::from_slice(&bytes) {
        Ok(order) => run(&socket, &order, fds),
        Err(e) => Err(Failure { step: "read order".to_owned(), message: e.to_string(), exit_code: None }),
    };
    send(&socket, &report.unwrap_or_else(Report::Failed))
}

fn send(socket: &UnixStream, report: &Report) -> cooper_sys::Result<()> {
    let bytes = serde_json::to_vec(report).map_err(|e| cooper_sys::Error::new("write", "report", e))?;
    channel::send(socket, &bytes, &[])
}

/// Runs the container to its end and returns the last report.
fn run(socket: &UnixStream, order: &Order, fds: Vec<OwnedFd>) -> Result<Report, Failure> {
    let step = |step: &'static str| move |e| Failure::new(step, &e);
    // A signal from the builder's terminal must not get here.
    process::new_session().map_err(step("session"))?;
    unshare(Namespaces {
        user: false,
        mount: true,
        ipc: true,
        uts: true,
        cgroup: true,
        network: order.own_network,
        pid: true,
    })
    .map_err(step("namespaces"))?;
    let (failure_reader, failure_writer) = process::pipe().map_err(step("pipe"))?;
    let child = match process::fork().map_err(step("fork"))? {
        Fork::Child => {
            drop(failure_reader);
            container::run(order, fds, failure_writer)
        }
        Fork::Parent(child) => child,
    };
    drop((fds, failure_writer));
    if let Some(failure) = wait_for_exec(socket, &child, failure_reader).map_err(step("start"))? {
        child.wait().map_err(step("wait"))?;
        return Err(failure);
    }
    // When nobody listens any more, the next wait ends at once and the container is killed.
    let _ = send(socket, &Report::Started);
    wait_for_end(socket, &child).map_err(step("wait"))
}

/// Waits until the command was executed (`None`), or until its process has told why not.
fn wait_for_exec(
    socket: &UnixStream,
    child: &Process,
    reader: OwnedFd,
) -> cooper_sys::Result<Option<Failure>> {
    let [_, closed] = process::wait_readable([reader.as_fd(), socket.as_fd()])?;
    if closed {
        child.kill()?;
    }
    let mut bytes = Vec::new();
    File::from(reader)
        .read_to_end(&mut bytes)
        .map_err(|e| cooper_sys::Error::new("read", "failure of the container", e))?;
    Ok(serde_json::from_slice(&bytes).ok())
}

fn wait_for_end(socket: &UnixStream, child: &Process) -> cooper_sys::Result<Report> {
    let [_, closed] = process::wait_readable([child.as_fd(), socket.as_fd()])?;
    if closed {
        child.kill()?;
    }
    Ok(match child.wait()? {
        Ended::Code(code) => Report::Exited(code),
        Ended::Signal(signal) => Report::Signalled(signal),
    })
}
