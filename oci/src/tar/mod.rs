//! The tar codec: a deterministic [`Writer`] and a wary [`Reader`].
//!
//! The writer lays out ustar headers as Go's archive/tar does, and adds PAX records only where ustar cannot
//! hold a value. The reader takes v7, ustar, PAX and GNU archives. Neither touches a file system.

mod entry;
mod error;
mod header;
mod pax;
mod reader;
mod source;
mod sparse;
mod writer;

pub use entry::{Budget, Entry, EntryKind};
pub use error::TarError;
pub use header::is_header;
pub use reader::Reader;
pub use writer::Writer;

/// The size of a block; headers take one, data is padded to whole ones.
pub const BLOCK: usize = 512;
