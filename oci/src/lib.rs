//! The formats of images, and nothing else: digests, references, descriptors, manifests, indexes, configs,
//! the tar codec and compression.
//!
//! No code here knows where bytes come from or go to: everything works on slices, `Read` and `Write`.
//! The JSON types keep fields that they do not know, and the order in which they were read
//! (see [`Extra`]), so that a document passes through unharmed.

pub mod chain;
pub mod compress;
pub mod config;
mod descriptor;
pub mod digest;
mod extra;
pub mod json;
pub mod media;
mod platform;
pub mod reference;
pub mod tar;
mod time;

pub use chain::chain_id;
pub use config::{ContainerConfig, Empty, Healthcheck, History, ImageConfig, RootFs};
pub use descriptor::{Descriptor, Index, Manifest};
pub use digest::{Algorithm, Digest, DigestError, Hasher, HashingReader, HashingWriter};
pub use extra::Extra;
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
pub use time::{format_rfc3339, parse_rfc3339};
