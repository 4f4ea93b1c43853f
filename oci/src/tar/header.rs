//! The 512-byte header block: fields, numbers, checksum.

use super::BLOCK;

/// A field: where it starts and ends.
pub(super) type Field = std::ops::Range<usize>;

pub(super) const NAME: Field = 0..100;
pub(super) const MODE: Field = 100..108;
pub(super) const UID: Field = 108..116;
pub(super) const GID: Field = 116..124;
pub(super) const SIZE: Field = 124..136;
pub(super) const MTIME: Field = 136..148;
pub(super) const CHECKSUM: Field = 148..156;
pub(super) const FLAG: usize = 156;
pub(super) const LINK: Field = 157..257;
pub(super) const MAGIC: Field = 257..265;
pub(super) const UNAME: Field = 265..297;
pub(super) const GNAME: Field = 297..329;
pub(super) const DEV_MAJOR: Field = 329..337;
pub(super) const DEV_MINOR: Field = 337..345;
pub(super) const PREFIX: Field = 345..500;
/// star keeps times behind a shorter prefix, and says so with [`STAR_TRAILER`].
pub(super) const STAR_PREFIX: Field = 345..476;
pub(super) const STAR_TRAILER: Field = 508..512;

pub(super) const MAGIC_USTAR: &[u8] = b"ustar\x0000";
pub(super) const MAGIC_GNU: &[u8] = b"ustar  \0";

/// Which dialect a header is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    V7,
    Ustar,
    Star,
    Gnu,
}

/// One header block.
#[derive(Clone)]
pub(super) struct Header(pub(super) [u8; BLOCK]);

impl Header {
    pub(super) fn empty() -> Self {
        Self([0; BLOCK])
    }

    pub(super) fn dialect(&self) -> Dialect {
        let magic = &self.0[MAGIC];
        if magic == MAGIC_GNU {
            Dialect::Gnu
        } else if magic.starts_with(b"ustar\0") {
            if &self.0[STAR_TRAILER] == b"tar\0" { Dialect::Star } else { Dialect::Ustar }
        } else {
            Dialect::V7
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Text up to the first NUL.
    pub(super) fn text(&self, field: Field) -> &[u8] {
        until_nul(&self.0[field])
    }

    /// A number, octal or base-256.
    pub(super) fn number(&self, field: Field) -> Option<i128> {
        parse_number(&self.0[field])
    }

    /// Whether the checksum is right, counted with unsigned bytes or, as old tars did, with signed ones.
    pub(super) fn checksum_ok(&self) -> bool {
        let Some(stored) = parse_octal(&self.0[CHECKSUM]) else { return false };
        let (unsigned, signed) = self.checksums();
        stored == unsigned || stored == signed
    }

    fn checksums(&self) -> (i128, i128) {
        let (mut unsigned, mut signed) = (0i128, 0i128);
        for (at, byte) in self.0.iter().enumerate() {
            let byte = if CHECKSUM.contains(&at) { b' ' } else { *byte };
            unsigned += i128::from(byte);
            signed += i128::from(byte.cast_signed());
        }
        (unsigned, signed)
    }

    pub(super) fn put(&mut self, field: Field, bytes: &[u8]) {
        let room = &mut self.0[field];
        let length = bytes.len().min(room.len());
        room[..length].copy_from_slice(&bytes[..length]);
    }

    /// Writes zero-padded octal with a NUL behind it; 0 if the number does not fit.
    pub(super) fn put_octal(&mut self, field: Field, number: u64) {
        let digits = field.len() - 1;
        let number = if fits_octal(field.len(), number) { number } else { 0 };
        self.put(field, format!("{number:0digits$o}").as_bytes());
    }

    /// Writes octal, or base-256 where that does not fit.
    pub(super) fn put_number(&mut self, field: Field, number: u64) {
        if fits_octal(field.len(), number) {
            return self.put_octal(field, number);
        }
        let room = &mut self.0[field];
        room.fill(0);
        let bytes = number.to_be_bytes();
        let shared = bytes.len().min(room.len());
        let start = room.len() - shared;
        room[start..].copy_from_slice(&bytes[bytes.len() - shared..]);
        room[0] |= 0x80;
    }

    /// Sets magic, version and, last of all, the checksum.
    pub(super) fn seal(&mut self) {
        self.put(MAGIC, MAGIC_USTAR);
        let (sum, _) = self.checksums();
        self.put(CHECKSUM, format!("{sum:06o}\0 ").as_bytes());
    }
}

/// Whether `block` starts with a tar header, judged by its checksum. An empty block is none.
pub fn is_header(block: &[u8]) -> bool {
    block
        .first_chunk::<BLOCK>()
        .is_some_and(|block| Header(*block).checksum_ok() && !Header(*block).is_zero())
}

pub(super) fn fits_octal(width: usize, number: u64) -> bool {
    let bits = (width - 1) * 3;
    bits >= 64 || number < 1 << bits
}

pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

/// Octal or base-256 (top bit set; two's complement, so that it may be negative).
pub(super) fn parse_number(bytes: &[u8]) -> Option<i128> {
    match bytes.first() {
        Some(first) if first & 0x80 != 0 => {
            // Twelve bytes at most, so i128 holds it.
            let negative = first & 0x40 != 0;
            let mut value: i128 = if negative { -1 } else { 0 };
            for (at, byte) in bytes.iter().enumerate() {
                let byte = match (at, negative) {
                    (0, true) => byte | 0x80,
                    (0, false) => byte & 0x7f,
                    _ => *byte,
                };
                value = (value << 8) | i128::from(byte);
            }
            Some(value)
        }
        _ => parse_octal(bytes),
    }
}

/// Octal with spaces or NULs around it; empty reads as 0.
fn parse_octal(bytes: &[u8]) -> Option<i128> {
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
    let digits = until_nul(&bytes[start..]);
    let end = digits.iter().rposition(|byte| !blank(byte)).map_or(0, |at| at + 1);
    let mut value: i128 = 0;
    for digit in &digits[..end] {
        if !matches!(digit, b'0'..=b'7') {
            return None;
        }
        value = value * 8 + i128::from(digit - b'0');
    }
    Some(value)
}
