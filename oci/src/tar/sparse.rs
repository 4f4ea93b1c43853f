//! Sparse members: the maps of GNU's four formats, and where data and holes are.

use super::header::{Header, parse_number};
use super::pax::parse_decimal;

/// A run of stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What PAX records say about a sparse member (formats 0.0, 0.1 and 1.0).
#[derive(Debug, Clone, Default)]
pub(super) struct SparseRecords {
    major: Option<Vec<u8>>,
    minor: Option<Vec<u8>>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    count: Option<u64>,
    /// Offsets and lengths in turn.
    map: Option<Vec<u64>>,
}

/// Where the map of a sparse member is.
pub(super) enum MapPlace {
    /// In the records.
    Records(Vec<Extent>),
    /// In front of the data.
    Data,
}

impl SparseRecords {
    pub(super) fn is_set(&self) -> bool {
        self.major.is_some() || self.minor.is_some() || self.map.is_some() || self.name.is_some() || self.size.is_some()
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
    pub(super) fn place(&self) -> Result<Option<MapPlace>, &'static str> {
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
pub(super) fn old_gnu_pairs(
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
    pub(super) fn new(mut extents: Vec<Extent>, size: u64, stored: u64) -> Result<Self, &'static str> {
        let (mut end, mut total) = (0u64, 0u64);
        for extent in &extents {
            if extent.offset < end {
                return Err("sparse map is not in order");
            }
            end = extent.offset.checked_add(extent.length).ok_or("sparse map overflows")?;
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
