//! Git repositories as sources.
//!
//! [`Location`] is what a URL says; [`Git`] runs the `git` program without any of the machine's configuration;
//! [`repository`] asks a server for a commit and checks it out. Steps and records are in `ops/git.rs`.

mod command;
mod location;
mod repository;

pub use command::Git;
pub use location::{Location, Mtime};
pub use repository::{Resolved, check_out, resolve};
