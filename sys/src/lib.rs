//! The kernel, behind small safe functions. The only crate of Cooper with `unsafe`.
//!
//! Owns: system calls on file trees ([`fs`]), mounts ([`mount`], [`overlay`]).
//! Every function on an untrusted tree takes directory descriptors and single names, or resolves a path inside a
//! root descriptor "as if chrooted". Must not: know what a layer, an image or a container is.
#![allow(unsafe_code)]

mod error;
pub mod fs;
pub mod mount;
pub mod overlay;

pub use error::{Error, Result};
