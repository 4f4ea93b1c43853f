//! Archives made by hand, and shorthands for the codec.
#![allow(clippy::unwrap_used)]
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::Read;

use cooper_oci::tar::{BLOCK, Budget, Entry, Reader, TarError, Writer, is_header};

pub fn file(path: &str, size: u64) -> Entry {
    Entry { path: path.into(), mode: 0o644, size, ..Entry::default() }
}

pub fn write(entries: &[(Entry, Vec<u8>)], nanoseconds: bool) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).keep_nanoseconds(nanoseconds);
    for (entry, data) in entries {
        writer.append_with(entry, &mut data.as_slice()).unwrap();
    }
    writer.finish().unwrap()
}

pub fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = Reader::new(bytes, Budget::layer());
    let mut entries = Vec::new();
    while let Some(entry) = reader.next()? {
        let mut data = Vec::new();
        reader.read_to_end(&mut data).map_err(TarError::Io)?;
        entries.push((entry, data));
    }
    Ok(entries)
}

pub fn one(entry: &Entry) -> Vec<u8> {
    write(&[(entry.clone(), vec![b'x'; usize::try_from(entry.size).unwrap()])], true)
}

pub fn flags(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(BLOCK).filter(|block| is_header(block)).map(|block| block[156]).collect()
}

/// A raw header of any flag and magic, with its checksum right.
pub fn header(name: &str, flag: u8, size: &[u8], magic: &[u8]) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..124 + size.len()].copy_from_slice(size);
    block[156] = flag;
    block[257..257 + magic.len()].copy_from_slice(magic);
    seal(block)
}

pub fn seal(mut block: Vec<u8>) -> Vec<u8> {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

pub fn padded(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    data.resize(data.len().next_multiple_of(BLOCK), 0);
    data
}

pub fn extension(flag: u8, data: &[u8]) -> Vec<u8> {
    [header("ext", flag, format!("{:011o}", data.len()).as_bytes(), b"ustar\x0000"), padded(data)].concat()
}

pub const USTAR: &[u8] = b"ustar\x0000";

pub const GNU: &[u8] = b"ustar  \0";

/// Lets the tables above and below be written without counting bytes: fixes the lengths of records.
pub trait Records {
    fn with_lengths(&self) -> Vec<u8>;
}

impl Records for [u8] {
    fn with_lengths(&self) -> Vec<u8> {
        let mut fixed = Vec::new();
        for record in self.split_inclusive(|byte| *byte == b'\n') {
            let at = record.iter().position(|byte| *byte == b' ').unwrap();
            let rest = record.len() - at;
            let length =
                (1..5).map(|digits| rest + digits).find(|length| length.to_string().len() + rest == *length);
            fixed.extend_from_slice(length.unwrap().to_string().as_bytes());
            fixed.extend_from_slice(&record[at..]);
        }
        fixed
    }
}
