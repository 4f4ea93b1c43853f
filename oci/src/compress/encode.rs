//! Compression with a level and a number of threads.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use zstd::zstd_safe::CParameter;

use super::{Compression, GzipWriter, Prepared};

/// gzip's level where none is given: libdeflate's, which makes smaller blobs at 5 than zlib does at 6.
pub const DEFAULT_GZIP_LEVEL: i32 = 5;
/// zstd's level where none is given.
pub const DEFAULT_ZSTD_LEVEL: i32 = 3;

/// Bytes that each thread of zstd takes at once.
const ZSTD_JOB_BYTES: u32 = 4 << 20;

/// Compresses what is written to it. Must be [finished](Self::finish).
pub enum Encoder<W: Write> {
    /// Uncompressed.
    Plain(W),
    /// gzip.
    Gzip(GzipWriter<W>),
    /// Zstandard.
    Zstd(zstd::Encoder<'static, W>),
}

/// An encoder; `None` for a level means the default. More threads change the speed, never the bytes.
pub fn encoder<W: Write>(
    writer: W,
    compression: Compression,
    level: Option<i32>,
    threads: usize,
) -> io::Result<Encoder<W>> {
    encoder_with(writer, compression, level, threads, None)
}

/// As [`encoder`]; a gzip stream takes blocks that were prepared for its level.
pub fn encoder_with<W: Write>(
    writer: W,
    compression: Compression,
    level: Option<i32>,
    threads: usize,
    prepared: Option<Arc<Prepared>>,
) -> io::Result<Encoder<W>> {
    let level = checked_level(compression, level)?;
    Ok(match compression {
        Compression::None => Encoder::Plain(writer),
        Compression::Gzip => {
            Encoder::Gzip(GzipWriter::with(writer, level.unsigned_abs(), threads, prepared)?)
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(writer, level)?;
            encoder.include_checksum(true)?;
            // No threads at all would give other bytes than one.
            encoder.multithread(u32::try_from(threads.clamp(1, 256)).unwrap_or(1))?;
            // The default of twice as much takes 30 MiB more memory, and gains half a percent.
            encoder.set_parameter(CParameter::JobSize(ZSTD_JOB_BYTES))?;
            Encoder::Zstd(encoder)
        }
    })
}

fn checked_level(compression: Compression, level: Option<i32>) -> io::Result<i32> {
    let (range, default) = match compression {
        Compression::None => return Ok(0),
        Compression::Gzip => (0..=9, DEFAULT_GZIP_LEVEL),
        Compression::Zstd => (1..=22, DEFAULT_ZSTD_LEVEL),
    };
    let level = level.unwrap_or(default);
    if range.contains(&level) {
        return Ok(level);
    }
    let (low, high) = (range.start(), range.end());
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{compression} has no level {level} (expected {low} to {high})"),
    ))
}

/// Names everything but the data that decides the compressed bytes: two blobs of one layer with equal
/// identifiers are equal.
pub fn compressor_id(compression: Compression, level: Option<i32>) -> String {
    match compression {
        Compression::None => "none".to_owned(),
        Compression::Gzip => {
            format!("gzip/libdeflate-1.26/{}/1MiB/noise/files-256KiB", level.unwrap_or(DEFAULT_GZIP_LEVEL))
        }
        Compression::Zstd => format!("zstd/{}/{}/4MiB", zstd_version(), level.unwrap_or(DEFAULT_ZSTD_LEVEL)),
    }
}

fn zstd_version() -> &'static str {
    zstd::zstd_safe::version_string()
}

impl<W: Write> Encoder<W> {
    /// Writes what is left, and hands back the writer.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(writer) => Ok(writer),
            Self::Gzip(writer) => writer.finish(),
            Self::Zstd(writer) => writer.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(writer) => writer.write(buf),
            Self::Gzip(writer) => writer.write(buf),
            Self::Zstd(writer) => writer.write(buf),
        }
    }

    /// Flushes the writer underneath. Bytes that are still being compressed stay where they are, because
    /// where blocks end must depend on the data alone.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(writer) => writer.flush(),
            Self::Gzip(writer) => writer.flush(),
            Self::Zstd(writer) => writer.get_mut().flush(),
        }
    }
}

impl<W: Write> fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Encoder::Plain",
            Self::Gzip(_) => "Encoder::Gzip",
            Self::Zstd(_) => "Encoder::Zstd",
        })
    }
}
