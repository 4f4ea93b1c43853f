//! Reads archives that may come from anywhere.
//!
//! Takes v7, ustar, star, PAX (`x`, `g`) and GNU (`L`, `K`, `S`, base-256) headers. Where readers in the wild
//! disagree about what an archive holds, it is refused: two headers that name one member, records that no
//! member follows, a global header that names a member or its size, a lone zero block. Memory is bounded by
//! [`Budget::max_metadata`]. Names are handed on as they are.

use std::io::{self, Read, Seek};

use super::header::{self, Dialect, Header};
use super::pax::Records;
use super::source::{Source, padding};
use super::sparse::{self, Piece, SparseData};
use super::{BLOCK, Budget, Entry, EntryKind, TarError};

/// Reads an archive, member by member. Reading from it reads the data of the current member, with the holes
/// of sparse files filled.
#[derive(Debug)]
pub struct Reader<R> {
    source: Source<R>,
    entries: u64,
    /// Bytes of all files so far, holes filled.
    expanded: u64,
    globals: Records,
    global_bytes: u64,
    /// Stored bytes of the current member that are not read yet.
    left: u64,
    /// Zeros that follow them.
    padding: u64,
    sparse: Option<SparseData>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Failed,
}

/// What extension headers said about the member that follows them.
#[derive(Default)]
struct Pending {
    records: Option<Records>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<R: Read> Reader<R> {
    /// Reads an archive within the limits of a budget.
    pub fn new(inner: R, budget: Budget) -> Self {
        Self {
            source: Source::new(inner, budget),
            entries: 0,
            expanded: 0,
            globals: Records::default(),
            global_bytes: 0,
            left: 0,
            padding: 0,
            sparse: None,
            state: State::Reading,
        }
    }

    /// The next member; `None` at the end. What was left of the last member's data is skipped.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not lend its data")]
    pub fn next(&mut self) -> Result<Option<Entry>, TarError> {
        match self.state {
            State::Failed => return Err(TarError::GivenUp),
            State::Ended => return Ok(None),
            State::Reading => {}
        }
        let result = self.advance();
        match &result {
            Ok(Some(_)) => {}
            Ok(None) => self.state = State::Ended,
            Err(_) => self.state = State::Failed,
        }
        result
    }

    /// How many bytes of the archive were read.
    pub fn position(&self) -> u64 {
        self.source.position
    }

    /// If the current member is sparse: its runs of data as (offset, length), in order; holes lie between.
    pub fn extents(&self) -> Option<Vec<(u64, u64)>> {
        self.sparse.as_ref().map(|sparse| sparse.extents().collect())
    }

    /// Reads what follows the end of the archive, within the budget, and hands back the reader underneath.
    ///
    /// A digest over the stream is complete only after this.
    pub fn drain(mut self) -> Result<R, TarError> {
        if self.state == State::Failed {
            return Err(TarError::GivenUp);
        }
        self.source.skip(self.left)?;
        self.source.drain()
    }

    /// The reader underneath. It is ahead of [`position`](Self::position) by what is buffered.
    pub fn get_ref(&self) -> &R {
        self.source.get_ref()
    }

    fn advance(&mut self) -> Result<Option<Entry>, TarError> {
        self.sparse = None;
        self.source.skip(self.left)?;
        self.source.skip(self.padding)?;
        (self.left, self.padding) = (0, 0);
        let mut pending = Pending::default();
        let mut metadata = 0;
        loop {
            let Some(block) = self.header()? else {
                if pending.records.is_some() || pending.name.is_some() || pending.link.is_some() {
                    return Err(self.source.malformed("extension header without a member"));
                }
                return Ok(None);
            };
            let flag = block.0[header::FLAG];
            match flag {
                b'x' | b'g' | b'L' | b'K' => {
                    let data = self.extension(&block, &mut metadata)?;
                    self.take_extension(flag, &data, &mut pending)?;
                }
                // A volume label is no member.
                b'V' => {
                    let size = self.source.unsigned(&block, header::SIZE)?;
                    self.source.skip(size)?;
                    self.source.skip(padding(size))?;
                }
                _ => return self.member(&block, pending, metadata).map(Some),
            }
        }
    }

    fn take_extension(&mut self, flag: u8, data: &[u8], pending: &mut Pending) -> Result<(), TarError> {
        let offset = self.source.position;
        let malformed = |what| TarError::Malformed { offset, what };
        match flag {
            b'g' => {
                self.global_bytes += data.len() as u64;
                if self.global_bytes > self.source.budget.max_metadata {
                    return Err(self.source.metadata_limit());
                }
                self.globals.read(data).map_err(malformed)?;
                if self.globals.name_a_member() {
                    return Err(malformed("global header names a member"));
                }
                Ok(())
            }
            b'x' => {
                let mut records = Records::default();
                records.read(data).map_err(malformed)?;
                if pending.records.replace(records).is_some() {
                    return Err(malformed("two PAX headers for one member"));
                }
                Ok(())
            }
            _ => {
                let slot = if flag == b'L' { &mut pending.name } else { &mut pending.link };
                if slot.replace(header::until_nul(data).to_vec()).is_some() {
                    return Err(malformed("two long names for one member"));
                }
                Ok(())
            }
        }
    }

    /// Makes an entry of a member's header and what came before it.
    fn member(&mut self, block: &Header, pending: Pending, metadata: u64) -> Result<Entry, TarError> {
        self.entries += 1;
        if self.entries > self.source.budget.max_entries {
            return Err(TarError::Limit { what: "members", limit: self.source.budget.max_entries });
        }
        let records = pending.records.unwrap_or_default();
        let globals = self.globals.clone();
        let dialect = block.dialect();
        let flag = block.0[header::FLAG];

        let mut path =
            self.one_name(records.path, pending.name)?.unwrap_or_else(|| plain_path(block, dialect));
        if let Some(name) = &records.sparse.name {
            path.clone_from(name);
        }
        let link =
            self.one_name(records.link, pending.link)?.unwrap_or_else(|| block.text(header::LINK).to_vec());
        if path.is_empty() {
            return Err(self.source.malformed("member without a name"));
        }
        if path.len() > self.source.budget.max_path || link.len() > self.source.budget.max_path {
            return Err(TarError::Limit {
                what: "bytes in a path",
                limit: self.source.budget.max_path as u64,
            });
        }
        let kind = match flag {
            0 if path.ends_with(b"/") => EntryKind::Dir,
            0 | b'0' | b'7' | b'S' => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' => EntryKind::CharDevice,
            b'4' => EntryKind::BlockDevice,
            b'5' => EntryKind::Dir,
            b'6' => EntryKind::Fifo,
            other => {
                let path = String::from_utf8_lossy(&path).into_owned();
                return Err(TarError::Unsupported { path, flag: char::from(other) });
            }
        };

        let stored = match records.size {
            Some(size) => size,
            None => self.source.unsigned(block, header::SIZE)?,
        };
        let mut size = 0;
        if kind == EntryKind::File {
            self.left = stored;
            self.padding = padding(stored);
            if stored > self.source.budget.max_bytes {
                return Err(self.source.bytes_limit());
            }
            let map = sparse::read_map(&mut self.source, block, &records.sparse, &mut self.left, metadata)?;
            size = match map {
                None => stored,
                Some(map) => {
                    let size = map.size;
                    let sparse =
                        SparseData::new(map, self.left).map_err(|what| self.source.malformed(what))?;
                    self.sparse = Some(sparse);
                    size
                }
            };
            self.expanded = self.expanded.saturating_add(size);
            if self.expanded > self.source.budget.max_bytes {
                return Err(self.source.bytes_limit());
            }
        }
        let (mtime, mtime_nanos) = match records.mtime.or(globals.mtime) {
            Some(time) => time,
            None => (self.source.signed(block, header::MTIME)?, 0),
        };
        let device = |own: Option<u32>, field| match own {
            Some(number) => Ok(number),
            None if dialect == Dialect::V7 => Ok(0),
            // Only devices have numbers; elsewhere old tars leave junk.
            None if !matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice) => Ok(0),
            None => u32::try_from(self.source.unsigned(block, field)?)
                .map_err(|_| self.source.malformed("bad device number")),
        };
        let owner = |own: Option<u64>, global: Option<u64>, field| match own.or(global) {
            Some(id) => Ok(id),
            None => self.source.unsigned(block, field),
        };
        let owner_name = |own: Option<Vec<u8>>, global: Option<Vec<u8>>, field| match own.or(global) {
            Some(name) => name,
            None if dialect == Dialect::V7 => Vec::new(),
            None => block.text(field).to_vec(),
        };
        let mut xattrs = globals.xattrs;
        xattrs.extend(records.xattrs);
        Ok(Entry {
            kind,
            // Some tars keep the type of the file in the upper bits.
            mode: u32::try_from(self.source.unsigned(block, header::MODE)? & 0o7777).unwrap_or(0),
            uid: owner(records.uid, globals.uid, header::UID)?,
            gid: owner(records.gid, globals.gid, header::GID)?,
            size,
            mtime,
            mtime_nanos,
            link: if matches!(kind, EntryKind::HardLink | EntryKind::Symlink) { link } else { Vec::new() },
            dev_major: device(records.dev_major, header::DEV_MAJOR)?,
            dev_minor: device(records.dev_minor, header::DEV_MINOR)?,
            xattrs,
            uname: owner_name(records.uname, globals.uname, header::UNAME),
            gname: owner_name(records.gname, globals.gname, header::GNAME),
            path,
        })
    }

    /// Of two ways to give a long name, only one may be used.
    fn one_name(&self, pax: Option<Vec<u8>>, gnu: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, TarError> {
        match (pax, gnu) {
            (Some(_), Some(_)) => Err(self.source.malformed("both a PAX and a GNU long name for one member")),
            (name, None) | (None, name) => Ok(name.filter(|name| !name.is_empty())),
        }
    }

    /// The next header block; `None` at the end of the archive.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let mut block = Header::empty();
        if self.source.fill(&mut block.0)? == 0 {
            return Ok(None);
        }
        if block.is_zero() {
            let mut second = Header::empty();
            return match self.source.fill(&mut second.0)? {
                0 => Ok(None),
                _ if second.is_zero() => Ok(None),
                _ => Err(self.source.malformed("lone zero block")),
            };
        }
        if !block.checksum_ok() {
            return Err(self.source.malformed("header checksum is wrong"));
        }
        Ok(Some(block))
    }

    /// The data of an extension header.
    fn extension(&mut self, block: &Header, metadata: &mut u64) -> Result<Vec<u8>, TarError> {
        let size = self.source.unsigned(block, header::SIZE)?;
        *metadata = metadata.saturating_add(size).saturating_add(BLOCK as u64);
        if *metadata > self.source.budget.max_metadata {
            return Err(self.source.metadata_limit());
        }
        let mut data = vec![0; usize::try_from(size).map_err(|_| self.source.metadata_limit())?];
        if self.source.fill(&mut data)? < data.len() {
            return Err(self.source.truncated());
        }
        self.source.skip(padding(size))?;
        Ok(data)
    }

    /// Reads stored bytes of the current member.
    fn read_stored(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        if wanted == 0 {
            return Ok(0);
        }
        match self.source.read(&mut buf[..wanted]) {
            Ok(0) => Err(self.source.truncated()),
            Ok(got) => {
                self.left -= got as u64;
                return Ok(got);
            }
            Err(error) => Err(error),
        }
        .map_err(|error| {
            self.state = State::Failed;
            error.into()
        })
    }
}

impl<R: Read + Seek> Reader<R> {
    /// As [`next`](Self::next), without reading what is left of the last member's data. That a file ends within the data
    /// goes unnoticed.
    pub fn next_by_seeking(&mut self) -> Result<Option<Entry>, TarError> {
        if self.state == State::Reading {
            self.source.seek_over(self.left + self.padding)?;
            (self.left, self.padding) = (0, 0);
        }
        self.next()
    }
}

/// Reads the data of the current member.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.state == State::Failed {
            return Err(TarError::GivenUp.into());
        }
        let Some(sparse) = &self.sparse else { return self.read_stored(buf) };
        let got = match sparse.piece() {
            Piece::End => 0,
            Piece::Hole(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX).min(buf.len());
                buf[..length].fill(0);
                length
            }
            Piece::Data(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX).min(buf.len());
                self.read_stored(&mut buf[..length])?
            }
        };
        if let Some(sparse) = &mut self.sparse {
            sparse.advance(got as u64);
        }
        Ok(got)
    }
}

/// The name in the header itself, with the prefix where the dialect has one.
fn plain_path(block: &Header, dialect: Dialect) -> Vec<u8> {
    let name = block.text(header::NAME);
    let prefix = match dialect {
        Dialect::Ustar => block.text(header::PREFIX),
        Dialect::Star => block.text(header::STAR_PREFIX),
        Dialect::V7 | Dialect::Gnu => b"",
    };
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}
