//! The kernel, behind small safe functions. The only crate of Cooper with `unsafe`.
//!
//! Owns: system calls on file trees ([`fs`]), mounts ([`mount`], [`overlay`]), namespaces ([`namespace`]), the process
//! itself ([`process`], [`capability`], [`seccomp`], [`executable`]) and messages between processes ([`channel`]).
//! Every function on an untrusted tree takes directory descriptors and single names, or resolves a path inside a
//! root descriptor "as if chrooted". Must not: know what a layer, an image or a container is.
#![allow(unsafe_code)]

pub mod capability;
pub mod channel;
mod error;
pub mod executable;
pub mod fs;
pub mod mount;
pub mod namespace;
pub mod overlay;
pub mod process;
pub mod seccomp;

pub use error::{Error, Result};
