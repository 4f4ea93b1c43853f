//! Writes archives: the same entries always give the same bytes.
//!
//! Layout is that of Go's archive/tar: a ustar header with the name split over its prefix field if that is
//! enough; otherwise a PAX header, named `<dir>/PaxHeaders.0/<file>`, with sorted records for just what does
//! not fit. Order of members, and what is a hard link, is the caller's business.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use super::header::{self, Header, fits_octal};
use super::source::padding;
use super::{BLOCK, Entry, EntryKind, pax};

/// Writes an archive, member by member.
#[derive(Debug)]
pub struct Writer<W> {
    inner: W,
    nanoseconds: bool,
    /// Bytes of data that the current member still wants.
    left: u64,
    /// Zeros that follow them.
    padding: u64,
    position: u64,
    buffer: Vec<u8>,
}

const BUFFER: usize = 128 * 1024;

impl<W: Write> Writer<W> {
    /// Starts an archive. Times are cut to whole seconds.
    pub fn new(inner: W) -> Self {
        Self { inner, nanoseconds: false, left: 0, padding: 0, position: 0, buffer: Vec::new() }
    }

    /// Whether to keep fractions of seconds, which takes a PAX header for each member that has one.
    pub fn keep_nanoseconds(mut self, keep: bool) -> Self {
        self.nanoseconds = keep;
        self
    }

    /// Bytes written so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes that the archive will have if it is finished behind this member.
    pub fn final_bytes(&self) -> u64 {
        self.position + self.left + self.padding + 2 * BLOCK as u64
    }

    /// The writer underneath. What is written to it directly becomes part of the archive.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// Writes a member's headers. The data of a file, exactly [`Entry::size`] bytes, is written next, by
    /// [`write_data`](Self::write_data) or through [`Write`].
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        self.end_member()?;
        let member = Member::new(entry, self.nanoseconds)?;
        if !member.records.is_empty() {
            let mut data = Vec::new();
            for (key, value) in &member.records {
                pax::write_record(&mut data, key, value);
            }
            self.put(&pax_header(&member.path, data.len() as u64).0)?;
            self.put(&data)?;
            self.put_zeros(padding(data.len() as u64))?;
        }
        self.put(&member.header(entry).0)?;
        self.left = member.size;
        self.padding = padding(member.size);
        Ok(())
    }

    /// Writes the data of the current member from a reader, of which it takes no more than it needs.
    pub fn write_data(&mut self, data: &mut (impl Read + ?Sized)) -> io::Result<()> {
        if self.left > 0 {
            self.buffer.resize(BUFFER, 0);
        }
        while self.left > 0 {
            let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(BUFFER);
            let got = match data.read(&mut self.buffer[..wanted]) {
                Ok(0) => break,
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.inner.write_all(&self.buffer[..got])?;
            self.position += got as u64;
            self.left -= got as u64;
        }
        if self.left > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("file is {} bytes shorter than its archive header says", self.left),
            ));
        }
        self.end_member()
    }

    /// Counts the data of the current member as written, for an archive of which only the size is wanted.
    pub fn skip_data(&mut self) {
        self.position += std::mem::take(&mut self.left);
    }

    /// Writes a member with its data.
    pub fn append_with(&mut self, entry: &Entry, data: &mut dyn Read) -> io::Result<()> {
        self.append(entry)?;
        self.write_data(data)
    }

    /// Writes the two zero blocks that end an archive, and hands back the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_member()?;
        self.put_zeros(2 * BLOCK as u64)?;
        Ok(self.inner)
    }

    fn end_member(&mut self) -> io::Result<()> {
        if self.left > 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("archive member still wants {} bytes of data", self.left),
            ));
        }
        let padding = std::mem::take(&mut self.padding);
        self.put_zeros(padding)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn put_zeros(&mut self, count: u64) -> io::Result<()> {
        let zeros = [0; 2 * BLOCK];
        self.put(&zeros[..zeros.len().min(usize::try_from(count).unwrap_or(usize::MAX))])
    }
}

/// Writes data of the current member; more than it wants is an error.
impl<W: Write> Write for Writer<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        if room == 0 && !buf.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "more data than the archive member wants",
            ));
        }
        let taken = self.inner.write(&buf[..room])?;
        self.left -= taken as u64;
        self.position += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// An entry, split into what the header holds and what needs records.
struct Member {
    path: Vec<u8>,
    size: u64,
    split: Option<usize>,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Member {
    fn new(entry: &Entry, nanoseconds: bool) -> io::Result<Self> {
        let mut path = entry.path.clone();
        if entry.kind == EntryKind::Dir && !path.ends_with(b"/") {
            path.extend_from_slice(if path.is_empty() { b"./" } else { b"/" });
        }
        let named = [
            (header::UNAME, b"uname".as_slice(), &entry.uname),
            (header::GNAME, b"gname".as_slice(), &entry.gname),
            (header::LINK, b"linkpath".as_slice(), &entry.link),
        ];
        if path.is_empty() || path.contains(&0) || named.iter().any(|(_, _, text)| text.contains(&0)) {
            let path = String::from_utf8_lossy(&entry.path).into_owned();
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{path}` cannot be archived: empty name, or NUL in a name"),
            ));
        }
        let size = if entry.kind == EntryKind::File { entry.size } else { 0 };
        let mut records = BTreeMap::new();
        for (field, key, text) in named {
            let unused = key == b"linkpath" && !is_link(entry.kind);
            if !unused && (text.len() > field.len() || !text.is_ascii()) {
                records.insert(key.to_vec(), text.clone());
            }
        }
        for (field, key, number) in [
            (header::UID, b"uid".as_slice(), entry.uid),
            (header::GID, b"gid".as_slice(), entry.gid),
            (header::SIZE, b"size".as_slice(), size),
        ] {
            if !fits_octal(field.len(), number) {
                records.insert(key.to_vec(), number.to_string().into_bytes());
            }
        }
        let nanos = if nanoseconds { entry.mtime_nanos.min(999_999_999) } else { 0 };
        let fits = u64::try_from(entry.mtime).is_ok_and(|time| fits_octal(header::MTIME.len(), time));
        if nanos != 0 || !fits {
            records.insert(b"mtime".to_vec(), pax::format_time(entry.mtime, nanos).into_bytes());
        }
        for (name, value) in &entry.xattrs {
            if name.is_empty() || name.contains(&0) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "bad name of an extended attribute"));
            }
            let (key, value) = pax::xattr_record(name, value);
            records.insert(key, value);
        }
        // A PAX header that is needed anyway holds the long name too, as Go does it.
        let mut split = None;
        if path.len() > header::NAME.len() || !path.is_ascii() {
            split = if records.is_empty() { split_path(&path) } else { None };
            if split.is_none() {
                records.insert(b"path".to_vec(), path.clone());
            }
        }
        Ok(Self { path, size, split, records })
    }

    fn header(&self, entry: &Entry) -> Header {
        let mut block = Header::empty();
        if let Some(at) = self.split {
            block.put(header::PREFIX, &self.path[..at]);
            block.put(header::NAME, &self.path[at + 1..]);
        } else {
            put_name(&mut block, header::NAME, &self.path);
        }
        if is_link(entry.kind) {
            put_name(&mut block, header::LINK, &entry.link);
        }
        put_name(&mut block, header::UNAME, &entry.uname);
        put_name(&mut block, header::GNAME, &entry.gname);
        block.put_octal(header::MODE, u64::from(entry.mode & 0o7777));
        block.put_octal(header::UID, entry.uid);
        block.put_octal(header::GID, entry.gid);
        block.put_octal(header::SIZE, self.size);
        block.put_octal(header::MTIME, u64::try_from(entry.mtime).unwrap_or(0));
        // Records for these do not exist in POSIX, so a number that is too large goes in as base-256.
        let is_device = matches!(entry.kind, EntryKind::CharDevice | EntryKind::BlockDevice);
        let (major, minor) = if is_device { (entry.dev_major, entry.dev_minor) } else { (0, 0) };
        block.put_number(header::DEV_MAJOR, u64::from(major));
        block.put_number(header::DEV_MINOR, u64::from(minor));
        block.0[header::FLAG] = match entry.kind {
            EntryKind::File => b'0',
            EntryKind::HardLink => b'1',
            EntryKind::Symlink => b'2',
            EntryKind::CharDevice => b'3',
            EntryKind::BlockDevice => b'4',
            EntryKind::Dir => b'5',
            EntryKind::Fifo => b'6',
        };
        block.seal();
        block
    }
}

fn is_link(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::HardLink | EntryKind::Symlink)
}

/// Where to split a long ASCII name into prefix and name; the slash there is dropped.
fn split_path(path: &[u8]) -> Option<usize> {
    if !path.is_ascii() {
        return None;
    }
    let prefix = header::PREFIX.len();
    let searched = if path.len() > prefix + 1 {
        prefix + 1
    } else if path.ends_with(b"/") {
        path.len() - 1
    } else {
        path.len()
    };
    let at = path[..searched].iter().rposition(|byte| *byte == b'/')?;
    let name = path.len() - at - 1;
    (at > 0 && name > 0 && name <= header::NAME.len()).then_some(at)
}

/// Puts what a field can hold of a name: ASCII only, cut, and no slash at the cut, lest a reader without PAX
/// takes a file for a directory.
fn put_name(block: &mut Header, field: header::Field, name: &[u8]) {
    let mut text: Vec<u8> = name.iter().copied().filter(u8::is_ascii).collect();
    if text.len() > field.len() {
        text.truncate(field.len());
        while text.ends_with(b"/") {
            text.pop();
        }
    }
    block.put(field, &text);
}

/// The header of a member's records.
fn pax_header(path: &[u8], size: u64) -> Header {
    let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (dir, file) = path.split_at(at);
    let dir = dir.strip_prefix(b"./").unwrap_or(dir);
    let mut name: Vec<u8> = [dir, b"PaxHeaders.0/", file].concat().into_iter().filter(u8::is_ascii).collect();
    name.truncate(header::NAME.len());
    while name.len() > 1 && name.ends_with(b"/") {
        name.pop();
    }
    let mut block = Header::empty();
    block.put(header::NAME, &name);
    for field in [header::MODE, header::UID, header::GID, header::MTIME] {
        block.put_octal(field, 0);
    }
    block.put_octal(header::SIZE, size);
    block.0[header::FLAG] = b'x';
    block.seal();
    block
}
