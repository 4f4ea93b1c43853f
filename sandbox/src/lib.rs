//! Runs one process in an isolated container.
//!
//! ```text
//!  builder (threads) ── first start() ──► mother (this program again, one thread)
//!        │  order, descriptors, a socket ──►  │ ── fork ──► helper ── fork ──► PID 1 of the container
//!        │                                                  │  waits            │  new namespaces, mounts, identity,
//!        │  ◄──────────────── started / failed / ended      │  lifeline closed: │  seccomp, exec
//!        │  socket is the lifeline                          │  kills PID 1
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
pub use start::{Child, ExitStatus, Killer, start, warm_up};
pub use user::{ProcessUser, home_of, resolve_user};
