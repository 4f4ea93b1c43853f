//! Sparse members: the maps of GNU's four formats, and where data and holes are.

use std::io::Read;

use super::header::{Dialect, FLAG, Header, parse_number};
use super::pax::parse_decimal;
use super::source::Source;
use super::{BLOCK, TarError};

/// A run of stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    offset: u64,
    length: u64,
}

/// What PAX records say about a sparse member (formats 0.0, 0.1 and 1.0).
#[derive(Debug, Clone, Default)]
pub(super) struct SparseRecords {
    major: Option<Vec<u8>>,
    minor: Option<Vec<u8>>,
    pub(super) name: Option<Vec<u8>>,
    size: Option<u64>,
    count: Option<u64>,
    /// Offsets and lengths in turn.
    map: Option<Vec<u64>>,
}

/// The map of a sparse member, as it was given.
pub(super) struct SparseMap {
    extents: Vec<Extent>,
    /// Size of the file with its holes.
    pub(super) size: u64,
}

/// Where the map of a sparse member is.
enum MapPlace {
    /// In the records.
    Records(Vec<Extent>),
    /// In front of the data.
    Data,
}

impl SparseRecords {
    pub(super) fn is_set(&self) -> bool {
        self.major.is_some()
            || self.minor.is_some()
            || self.map.is_some()
            || self.name.is_some()
            || self.size.is_some()
    }

    /// Takes the record `GNU.sparse.<name>`.
    pub(super) fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let number = |value| parse_decimal(value).ok_or("sparse record is no number");
        match name {
            b"major" => self.major = Some(value.to_vec()),
            b"minor" => self.minor = Some(value.to_vec()),
            b"name" if value.contains(&0) => return Err("NUL in a PAX name"),
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(number(value)?),
            b"numblocks" => self.count = Some(number(value)?),
            b"map" => {
                let numbers = if value.is_empty() {
                    Vec::new()
                } else {
                    value.split(|byte| *byte == b',').map(number).collect::<Result<_, _>>()?
                };
                self.map = Some(numbers);
            }
            // Format 0.0: the two take turns.
            b"offset" | b"numbytes" => {
                let map = self.map.get_or_insert_default();
                if map.len() % 2 != usize::from(name == b"numbytes") {
                    return Err("sparse offsets and lengths do not take turns");
                }
                map.push(number(value)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the map is; `None` if the member is not sparse.
    fn place(&self) -> Result<Option<MapPlace>, &'static str> {
        match (self.major.as_deref(), self.minor.as_deref()) {
            (Some(b"1"), Some(b"0")) => Ok(Some(MapPlace::Data)),
            (Some(b"0"), Some(b"0" | b"1")) | (None, None) => {
                let Some(map) = &self.map else {
                    return if self.is_set() { Err("sparse member without a map") } else { Ok(None) };
                };
                let (pairs, rest) = map.as_chunks::<2>();
                if !rest.is_empty() || self.count.is_some_and(|count| count != pairs.len() as u64) {
                    return Err("sparse map has a wrong length");
                }
                Ok(Some(MapPlace::Records(
                    pairs.iter().map(|&[offset, length]| Extent { offset, length }).collect(),
                )))
            }
            _ => Err("unknown version of the sparse format"),
        }
    }
}

/// Old GNU format: the pairs in a header or in a continuation block, which start at `at`.
fn old_gnu_pairs(
    block: &Header,
    at: usize,
    count: usize,
    extents: &mut Vec<Extent>,
) -> Result<(), &'static str> {
    for pair in block.0[at..at + count * 24].as_chunks::<24>().0 {
        if pair[0] == 0 {
            break;
        }
        let number = |bytes| {
            parse_number(bytes).and_then(|n| u64::try_from(n).ok()).ok_or("sparse map holds a bad number")
        };
        extents.push(Extent { offset: number(&pair[..12])?, length: number(&pair[12..])? });
    }
    Ok(())
}

/// Reads the map of a member, wherever it is; `None` if the member is plain. What of `left` stored bytes the
/// map takes is taken off. `metadata` is how many bytes of extension headers the member has already.
pub(super) fn read_map<R: Read>(
    source: &mut Source<R>,
    block: &Header,
    records: &SparseRecords,
    left: &mut u64,
    metadata: u64,
) -> Result<Option<SparseMap>, TarError> {
    let place = records.place().map_err(|what| source.malformed(what))?;
    if block.0[FLAG] == b'S' {
        if block.dialect() != Dialect::Gnu || place.is_some() {
            return Err(source.malformed("sparse member that is not GNU's"));
        }
        return old_gnu_map(source, block, metadata).map(Some);
    }
    let Some(place) = place else { return Ok(None) };
    let size = records.size.ok_or_else(|| source.malformed("sparse member without its real size"))?;
    let extents = match place {
        MapPlace::Records(extents) => extents,
        MapPlace::Data => map_in_data(source, left, metadata)?,
    };
    Ok(Some(SparseMap { extents, size }))
}

/// Old GNU format: four pairs in the header, more in blocks behind it.
fn old_gnu_map<R: Read>(
    source: &mut Source<R>,
    block: &Header,
    mut metadata: u64,
) -> Result<SparseMap, TarError> {
    let mut extents = Vec::new();
    let size = source.unsigned(block, 483..495)?;
    old_gnu_pairs(block, 386, 4, &mut extents).map_err(|what| source.malformed(what))?;
    let mut more = block.0[482] != 0;
    while more {
        metadata += BLOCK as u64;
        if metadata > source.budget.max_metadata {
            return Err(source.metadata_limit());
        }
        let next = Header(source.block()?);
        old_gnu_pairs(&next, 0, 21, &mut extents).map_err(|what| source.malformed(what))?;
        more = next.0[504] != 0;
    }
    Ok(SparseMap { extents, size })
}

/// PAX format 1.0: decimal lines in whole blocks in front of the data; the first says how many pairs.
fn map_in_data<R: Read>(
    source: &mut Source<R>,
    left: &mut u64,
    mut metadata: u64,
) -> Result<Vec<Extent>, TarError> {
    let (mut block, mut at) = ([0; BLOCK], BLOCK);
    let mut line = Vec::new();
    let mut numbers: Vec<u64> = Vec::new();
    let mut wanted = None;
    while wanted != Some(numbers.len()) {
        if at == BLOCK {
            metadata += BLOCK as u64;
            if metadata > source.budget.max_metadata {
                return Err(source.metadata_limit());
            }
            *left = left
                .checked_sub(BLOCK as u64)
                .ok_or_else(|| source.malformed("sparse map does not fit the stored data"))?;
            block = source.block()?;
            at = 0;
        }
        let byte = block[at];
        at += 1;
        if byte != b'\n' {
            line.push(byte);
            continue;
        }
        let number = parse_decimal(&line).ok_or_else(|| source.malformed("bad sparse map"))?;
        line.clear();
        if wanted.is_none() {
            // Each number takes two bytes at least, so the limit on metadata bounds their count too.
            let count = usize::try_from(number).ok().and_then(|count| count.checked_mul(2));
            wanted = Some(count.ok_or_else(|| source.malformed("bad sparse map"))?);
        } else {
            numbers.push(number);
        }
    }
    Ok(numbers.as_chunks::<2>().0.iter().map(|&[offset, length]| Extent { offset, length }).collect())
}

/// The data of a sparse member as it is read: holes filled.
#[derive(Debug)]
pub(super) struct SparseData {
    extents: Vec<Extent>,
    next: usize,
    at: u64,
    size: u64,
}

/// What comes next in a sparse member.
pub(super) enum Piece {
    Hole(u64),
    Data(u64),
    End,
}

impl SparseData {
    /// Checks the map: sorted, disjoint, within the size, and of exactly the stored bytes.
    pub(super) fn new(map: SparseMap, stored: u64) -> Result<Self, &'static str> {
        let SparseMap { mut extents, size } = map;
        let (mut end, mut total) = (0u64, 0u64);
        for extent in &extents {
            if extent.offset < end {
                return Err("sparse map is not in order");
            }
            end = extent.offset.checked_add(extent.length).ok_or("sparse map overflows")?;
            // No overflow: disjoint runs are no longer than their end.
            total += extent.length;
        }
        if end > size {
            return Err("sparse map goes beyond the end of the file");
        }
        if total != stored {
            return Err("sparse map does not fit the stored data");
        }
        extents.retain(|extent| extent.length > 0);
        Ok(Self { extents, next: 0, at: 0, size })
    }

    pub(super) fn extents(&self) -> impl Iterator<Item = (u64, u64)> {
        self.extents.iter().map(|extent| (extent.offset, extent.length))
    }

    pub(super) fn piece(&self) -> Piece {
        match self.extents.get(self.next) {
            Some(extent) if self.at < extent.offset => Piece::Hole(extent.offset - self.at),
            Some(extent) => Piece::Data(extent.offset + extent.length - self.at),
            None if self.at < self.size => Piece::Hole(self.size - self.at),
            None => Piece::End,
        }
    }

    pub(super) fn advance(&mut self, by: u64) {
        self.at += by;
        if self.extents.get(self.next).is_some_and(|extent| self.at >= extent.offset + extent.length) {
            self.next += 1;
        }
    }
}
