//! PID 1 of a container, from its fork to the execution of the command.
//!
//! The order is that on which the runtimes have settled: sources as descriptors first, mounts through descriptors of
//! resolved targets, masks, the new root, then identity, the filter, and exec last. Everything here runs in one thread.

mod devices;
mod execute;
mod identity;
mod masks;
mod mounts;
mod scratch;

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use cooper_sys::namespace::{self, Namespaces, unshare};
use cooper_sys::{mount, process};

use crate::wire::{Failure, Order};
use mounts::Stage;

/// Becomes the command, or writes the reason why not and ends.
pub fn run(order: &Order, outputs: Vec<OwnedFd>, mounts: Vec<OwnedFd>, failures: OwnedFd) -> ! {
    let failure = match set_up(order, outputs, mounts) {
        Ok(command) => command.execute(),
        Err(failure) => failure,
    };
    if let Ok(bytes) = serde_json::to_vec(&failure) {
        let _ = File::from(failures).write_all(&bytes);
    }
    process::exit_now(127)
}

fn set_up(order: &Order, outputs: Vec<OwnedFd>, mounts: Vec<OwnedFd>) -> Result<execute::Command, Failure> {
    process::die_with_parent().step("parent death signal")?;
    let [stdout, stderr] = outputs.as_slice() else {
        return Err(Failure::plain("outputs", "a descriptor is missing".to_owned()));
    };
    process::set_outputs(stdout, stderr).step("outputs")?;
    drop(outputs);
    process::new_session().step("session")?;
    unshare(Namespaces {
        user: false,
        mount: true,
        ipc: true,
        uts: true,
        cgroup: true,
        network: order.own_network,
        pid: false,
    })
    .step("namespaces")?;
    // What is made from here on gets exactly the mode that is asked for.
    cooper_sys::fs::umask(0);
    mount::make_all_private().step("mount propagation")?;
    identity::prefer_as_victim();

    let stage = Stage::new(order, mounts)?.mount_all()?;
    masks::apply(order, &stage)?;
    stage.enter()?;

    namespace::set_hostname(&order.hostname).step("host name")?;
    namespace::set_domainname("(none)").step("domain name")?;
    if order.own_network {
        namespace::loopback_up().step("network")?;
    }
    let (stdin, stdin_writer) = process::pipe().step("standard input")?;
    drop(stdin_writer);
    process::set_stdin(&stdin).step("standard input")?;
    drop(stdin);

    let command = execute::Command::new(order)?;
    identity::set_limits(order)?;
    change_dir(order)?;
    process::reset_signals().step("signals")?;
    identity::assume(order)?;
    process::close_from_at_exec(3).step("close descriptors")?;
    Ok(command)
}

fn change_dir(order: &Order) -> Result<(), Failure> {
    let cwd = order.cwd.path();
    namespace::change_dir(&cwd).step("working directory")?;
    // A directory outside the root would show as "(unreachable)".
    match std::env::current_dir() {
        Ok(path) if path.is_absolute() => Ok(()),
        _ => {
            Err(Failure::plain("working directory", format!("{} is not inside the container", cwd.display())))
        }
    }
}

impl Failure {
    /// A step that the kernel refused.
    pub(crate) fn new(step: &str, error: &cooper_sys::Error) -> Self {
        Self::plain(step, error.to_string())
    }

    pub(crate) fn plain(step: &str, message: String) -> Self {
        Self { step: step.to_owned(), message, exit_code: None }
    }
}

/// Names the step in which an error came up.
pub(crate) trait Step<T> {
    fn step(self, step: &str) -> Result<T, Failure>;
}

impl<T> Step<T> for cooper_sys::Result<T> {
    fn step(self, step: &str) -> Result<T, Failure> {
        self.map_err(|e| Failure::new(step, &e))
    }
}
