//! COPY and ADD: which files a source names, what their content key is, and how they are written into an image.
//!
//! Owns: the path rules of both ends, `--parents`, `--exclude`, `--chmod`, `--chown`, hard links and attributes.
//! Sources and the image are not trusted: everything goes by descriptors below their roots (`cooper_sys::fs`).
//! Must not: mount anything, know layers or steps, follow a link out of either root.
//!
//! Order of use: [`select`] for each source, [`digest`] or [`examine`] for the step's key, [`copy`] when it missed.

mod archive;
mod chmod;
mod chown;
mod crew;
mod digest;
mod dress;
mod error;
mod include;
mod resolve;
mod select;
mod source;
mod streamed;
mod suggest;
mod target;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod tree_writer;
mod walk;
mod write;
mod write_file;
mod xattrs;

pub use archive::Unpacker;
pub use chmod::ModeChange;
pub use chown::{Owner, plain_owner, resolve_chown};
pub use digest::{ContentDigest, digest, examine, named_inputs};
pub use error::CopyError;
pub use select::{Selection, named_path, select, select_path};
pub use source::{ContentHasher, NoHasher, SourceTree};
pub use streamed::Streamed;
pub use write::{CopyOptions, CopyReport, copy, stream};
