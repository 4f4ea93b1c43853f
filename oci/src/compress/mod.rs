//! Compression of layers: gzip and zstd both ways, bzip2 and xz for reading.
//!
//! Compressed bytes depend on the data, the level and [`compressor_id`], never on the number of threads.
//! Decoders bound their memory: zstd windows and xz dictionaries of more than 128 MiB are refused. How much
//! comes out is not bounded here.

mod decode;
mod encode;
mod follow;
mod gzip;
mod noise;
mod parallel;
mod pool;
mod prepared;

use std::fmt;
use std::str::FromStr;

pub use decode::{Decoder, Detected, auto_decoder, decoder, detect};
pub use encode::{DEFAULT_GZIP_LEVEL, DEFAULT_ZSTD_LEVEL, Encoder, compressor_id, encoder, encoder_with};
pub use gzip::GzipWriter;
pub use parallel::threaded_decoder;
pub use prepared::Prepared;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    #[default]
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// The name that flags use: `uncompressed`, `gzip` or `zstd`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no compression that we write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unsupported compression `{0}` (expected gzip, zstd or uncompressed)")]
pub struct UnknownCompression(String);

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(text: &str) -> Result<Self, UnknownCompression> {
        match text {
            "uncompressed" | "none" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            other => Err(UnknownCompression(other.to_owned())),
        }
    }
}
