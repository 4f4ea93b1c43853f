//! The mother of containers and their helpers.
//!
//! The mother is this program again, executed once: it has one thread, waits for orders, and forks a helper for each,
//! which is far cheaper than an execution. She ends when the builder does.
//!
//! A helper makes PID 1 of its container and waits. It owns nothing but its socket, and lives as long as the container.
//! When the builder's end of the socket closes, for whatever reason, it kills PID 1, and the kernel then ends every other
//! process of the container. It dies with the mother, and PID 1 with it.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use cooper_sys::channel;
use cooper_sys::namespace::{Namespaces, unshare};
use cooper_sys::process::{self, Ended, Fork, Process};

use crate::container;
use crate::seccomp;
use crate::wire::{Failure, Order, Report};

/// Name under which the program is executed to become the mother.
pub(crate) const INIT_NAME: &str = "cooper-sandbox-init";

static HOOKED: AtomicBool = AtomicBool::new(false);

/// Becomes the mother of containers if this program was executed as one, and then never returns. Must be the first thing
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
    // A signal from the builder's terminal must not get here.
    process::new_session()?;
    let orders = std::io::stdin().as_fd().try_clone_to_owned();
    let orders = UnixStream::from(orders.map_err(|e| cooper_sys::Error::new("dup", "stdin", e))?);
    // Made once, for all containers.
    seccomp::prepare();
    while let Some((bytes, fds)) = channel::receive(&orders)? {
        process::reap_children();
        let (gate, opener) = process::pipe()?;
        match process::fork()? {
            Fork::Child => {
                drop((orders, opener));
                process::exit_now(i32::from(help(&bytes, fds, gate).is_err()));
            }
            // The helper waits for this to be over before it says that the container is: nothing of it is open here.
            Fork::Parent(_) => drop((fds, opener)),
        }
    }
    Ok(())
}

/// The life of a helper. The first descriptors are its socket and the outputs of the container.
fn help(order: &[u8], mut fds: Vec<OwnedFd>, gate: OwnedFd) -> cooper_sys::Result<()> {
    process::die_with_parent()?;
    if fds.len() < 3 {
        let error = std::io::Error::other("descriptors are missing");
        return Err(cooper_sys::Error::new("receive", "order", error));
    }
    let mounts = fds.split_off(3);
    let outputs = fds.split_off(1);
    let socket = UnixStream::from(fds.swap_remove(0));
    // In place of the mother's socket.
    process::set_stdin(&socket)?;
    let report = match serde_json::from_slice(order) {
        Ok(order) => run(&socket, &order, outputs, mounts),
        Err(e) => Err(Failure { step: "read order".to_owned(), message: e.to_string(), exit_code: None }),
    };
    let mut nothing = Vec::new();
    File::from(gate)
        .read_to_end(&mut nothing)
        .map_err(|e| cooper_sys::Error::new("read", "gate of the helper", e))?;
    send(&socket, &report.unwrap_or_else(Report::Failed))
}

fn send(socket: &UnixStream, report: &Report) -> cooper_sys::Result<()> {
    let bytes = serde_json::to_vec(report).map_err(|e| cooper_sys::Error::new("write", "report", e))?;
    channel::send(socket, &bytes, &[])
}

/// Runs the container to its end and returns the last report.
fn run(
    socket: &UnixStream,
    order: &Order,
    outputs: Vec<OwnedFd>,
    mounts: Vec<OwnedFd>,
) -> Result<Report, Failure> {
    let step = |step: &'static str| move |e| Failure::new(step, &e);
    // The other namespaces are made by PID 1 itself: so they end with it, before anybody is told.
    unshare(Namespaces { pid: true, ..Namespaces::default() }).map_err(step("namespaces"))?;
    let (failure_reader, failure_writer) = process::pipe().map_err(step("pipe"))?;
    let child = match process::fork().map_err(step("fork"))? {
        Fork::Child => {
            drop(failure_reader);
            container::run(order, outputs, mounts, failure_writer)
        }
        Fork::Parent(child) => child,
    };
    drop((outputs, mounts, failure_writer));
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
