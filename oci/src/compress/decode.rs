//! Decompression, by what the media type says or by what the first bytes look like.

use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use super::Compression;

/// Memory that an xz or zstd stream may demand.
const MAX_WINDOW_LOG: u32 = 27;
const BUFFER: usize = 64 * 1024;
/// As many bytes as the longest magic number has.
const MAGIC_LEN: usize = 6;
/// `LZMA_CONCATENATED`: read all streams of a file.
const XZ_CONCATENATED: u32 = 8;

/// What the first bytes of a stream look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Detected {
    /// Nothing known: taken for uncompressed.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

impl Detected {
    /// Judges by the first bytes, of which it wants six.
    pub fn of(prefix: &[u8]) -> Self {
        match prefix {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            // A stream may also start with a skippable frame.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::None,
        }
    }
}

impl From<Compression> for Detected {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => Self::Zstd,
        }
    }
}

/// Judges by what a buffered reader has ready, and consumes nothing. A reader that hands out less than six
/// bytes at first may be misjudged; [`auto_decoder`] is not fooled by that.
pub fn detect(reader: &mut (impl BufRead + ?Sized)) -> io::Result<Detected> {
    reader.fill_buf().map(Detected::of)
}

/// Reads decompressed bytes. All members, frames or streams of the input are read; a torn one is an error.
pub enum Decoder<R: BufRead> {
    /// Uncompressed.
    Plain(R),
    /// gzip.
    Gzip(Box<flate2::bufread::MultiGzDecoder<R>>),
    /// Zstandard.
    Zstd(zstd::Decoder<'static, R>),
    /// bzip2.
    Bzip2(Box<bzip2::bufread::MultiBzDecoder<R>>),
    /// xz.
    Xz(xz2::bufread::XzDecoder<R>),
}

impl<R: BufRead> Decoder<R> {
    /// A decoder for a format.
    pub fn new(reader: R, format: Detected) -> io::Result<Self> {
        Ok(match format {
            Detected::None => Self::Plain(reader),
            Detected::Gzip => Self::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(reader))),
            Detected::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(reader)?;
                decoder.window_log_max(MAX_WINDOW_LOG)?;
                Self::Zstd(decoder)
            }
            Detected::Bzip2 => Self::Bzip2(Box::new(bzip2::bufread::MultiBzDecoder::new(reader))),
            Detected::Xz => {
                // The limit covers all of the decoder's memory, so a little more than the dictionary.
                let limit = (1 << MAX_WINDOW_LOG) + (1 << 20);
                let stream = xz2::stream::Stream::new_stream_decoder(limit, XZ_CONCATENATED)
                    .map_err(io::Error::other)?;
                Self::Xz(xz2::bufread::XzDecoder::new_stream(reader, stream))
            }
        })
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buf),
            Self::Gzip(reader) => reader.read(buf),
            Self::Zstd(reader) => reader.read(buf),
            Self::Bzip2(reader) => reader.read(buf),
            Self::Xz(reader) => reader.read(buf),
        }
    }
}

impl<R: BufRead> fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Decoder::Plain",
            Self::Gzip(_) => "Decoder::Gzip",
            Self::Zstd(_) => "Decoder::Zstd",
            Self::Bzip2(_) => "Decoder::Bzip2",
            Self::Xz(_) => "Decoder::Xz",
        })
    }
}

/// Reads what is compressed as said.
pub fn decoder<'a>(reader: impl Read + 'a, compression: Compression) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(reader),
        _ => Box::new(Decoder::new(BufReader::with_capacity(BUFFER, reader), compression.into())?),
    })
}

/// Reads what is compressed as its first bytes tell.
pub fn auto_decoder<'a>(mut reader: impl Read + 'a) -> io::Result<(Detected, Box<dyn Read + 'a>)> {
    let mut prefix = Vec::with_capacity(MAGIC_LEN);
    reader.by_ref().take(MAGIC_LEN as u64).read_to_end(&mut prefix)?;
    let detected = Detected::of(&prefix);
    let whole = Cursor::new(prefix).chain(reader);
    Ok((detected, Box::new(Decoder::new(BufReader::with_capacity(BUFFER, whole), detected)?)))
}
