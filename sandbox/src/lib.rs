//! Runs one process in an isolated container.
//!
//! ```text
//!  builder (threads) ── start() ──► init helper (this program again, one thread) ── fork ──► PID 1 of the container
//!        │  socket: order, descriptors ──►  │  new namespaces; waits                            │  mounts, identity,
//!        │  ◄── started / failed / ended    │  lifeline closed: kills PID 1                     │  seccomp, exec
//! ```
//!
//! Owns: the way into a user namespace ([`enter`]), the order given to the helper ([`Spec`]), what a container sees and
//! may do. Must not: know images, layers or caches; fork the builder, which has threads.
//!
//! A program that calls [`start`] must call [`maybe_init`] first thing in `main`.

mod container;
mod enter;
mod error;
mod init;
mod seccomp;
mod spec;
mod start;
mod user;
mod wire;

pub use cooper_sys::process::Resource;
pub use enter::{Level, enter};
pub use error::{Error, Result, UserError};
pub use init::maybe_init;
pub use spec::{Mount, MountKind, Network, Spec, TargetKind, mount_targets};
pub use start::{Child, ExitStatus, Killer, start};
pub use user::{ProcessUser, home_of, resolve_user};
