//! Tree manifests: what is in a layer, one line an entry. `snapshots/<id>/tree`.
//!
//! ```text
//! cooper-tree 1
//! <kind> <mode> <uid> <gid> <mtime> <path> [<key>=<value>]...
//! end <entries> <blake3 of all bytes before this line>
//! ```
//!
//! `kind` is `f` file, `d` directory, `l` symbolic link, `h` hard link, `c` and `b` devices, `p` FIFO, `w` whiteout.
//! `mode` is octal, `mtime` is `seconds.nanoseconds` (nine digits). Paths and link targets are bytes, with `%XX` for
//! `%`, blanks, control characters and everything above `~`; paths have no leading slash. Keys, in this order:
//! `size=` and `b3=` (blake3 of the content) of files, `to=` of links, `dev=major:minor`, `opaque=y` of directories,
//! `x:<name>=<hex>` of extended attributes, sorted.
//!
//! Entries are sorted by path, component by component, so that a directory stands before what is in it and everything
//! below it follows at once. The root directory has no entry. A hard link's target stands before the link.
//! A whiteout's path is the hidden name.
//!
//! The content ID is the blake3 hash of the lines of all entries with `-` for each mtime.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use crate::chain::ContentId;
use crate::error::{Error, Result};

const HEAD: &str = "cooper-tree 1\n";
/// No honest line is longer: a path, a target, and 64 KiB of attribute values in hex.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TreeKind {
    /// Regular file.
    File,
    /// Directory.
    Dir,
    /// Symbolic link to [`TreeEntry::link`].
    Symlink,
    /// One more name of the file at [`TreeEntry::link`], an earlier path of the same tree.
    HardLink,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
    /// Named pipe.
    Fifo,
    /// The name is hidden in the layers below.
    Whiteout,
}

impl TreeKind {
    fn letter(self) -> char {
        match self {
            Self::File => 'f',
            Self::Dir => 'd',
            Self::Symlink => 'l',
            Self::HardLink => 'h',
            Self::CharDevice => 'c',
            Self::BlockDevice => 'b',
            Self::Fifo => 'p',
            Self::Whiteout => 'w',
        }
    }

    fn from_letter(letter: &str) -> Option<Self> {
        Some(match letter {
            "f" => Self::File,
            "d" => Self::Dir,
            "l" => Self::Symlink,
            "h" => Self::HardLink,
            "c" => Self::CharDevice,
            "b" => Self::BlockDevice,
            "p" => Self::Fifo,
            "w" => Self::Whiteout,
            _ => return None,
        })
    }
}

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Bytes of the path, without a leading slash.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: TreeKind,
    /// Permission bits (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
    /// Bytes of content, of files.
    pub size: u64,
    /// blake3 of the content, of files.
    pub content: Option<[u8; 32]>,
    /// Target of symbolic and hard links.
    pub link: Vec<u8>,
    /// Major and minor number of devices.
    pub device: (u32, u32),
    /// Whether a directory hides what the layers below have in it.
    pub opaque: bool,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl TreeEntry {
    /// An entry with nothing but a path and a kind.
    pub fn new(path: impl Into<Vec<u8>>, kind: TreeKind) -> Self {
        Self {
            path: path.into(),
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            size: 0,
            content: None,
            link: Vec::new(),
            device: (0, 0),
            opaque: false,
            xattrs: Vec::new(),
        }
    }

    /// Writes the line, and says where in it the time stands.
    fn line(&self, line: &mut String) -> std::ops::Range<usize> {
        line.clear();
        let _ = write!(line, "{} {:o} {} {} ", self.kind.letter(), self.mode, self.uid, self.gid);
        let start = line.len();
        let _ = write!(line, "{}.{:09}", self.mtime.0, self.mtime.1);
        let time = start..line.len();
        line.push(' ');
        escape(&self.path, line);
        if self.kind == TreeKind::File {
            let _ = write!(line, " size={}", self.size);
        }
        if let Some(content) = &self.content {
            line.push_str(" b3=");
            hex(content, line);
        }
        if !self.link.is_empty() {
            line.push_str(" to=");
            escape(&self.link, line);
        }
        if matches!(self.kind, TreeKind::CharDevice | TreeKind::BlockDevice) {
            let _ = write!(line, " dev={}:{}", self.device.0, self.device.1);
        }
        if self.opaque {
            line.push_str(" opaque=y");
        }
        for (name, value) in &self.xattrs {
            line.push_str(" x:");
            escape(name, line);
            line.push('=');
            hex(value, line);
        }
        line.push('\n');
        time
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let kind = TreeKind::from_letter(words.next()?)?;
        let mode = u32::from_str_radix(words.next()?, 8).ok()?;
        let uid = words.next()?.parse().ok()?;
        let gid = words.next()?.parse().ok()?;
        let (seconds, nanos) = words.next()?.split_once('.')?;
        let mtime = (seconds.parse().ok()?, nanos.parse().ok()?);
        let mut entry = Self { mode, uid, gid, mtime, ..Self::new(unescape(words.next()?)?, kind) };
        if entry.path.is_empty() || entry.path.split(|byte| *byte == b'/').any(is_odd) {
            return None;
        }
        for word in words {
            let (key, value) = word.rsplit_once('=')?;
            match key {
                "size" => entry.size = value.parse().ok()?,
                "b3" => entry.content = Some(unhex(value)?.try_into().ok()?),
                "to" => entry.link = unescape(value)?,
                "dev" => {
                    let (major, minor) = value.split_once(':')?;
                    entry.device = (major.parse().ok()?, minor.parse().ok()?);
                }
                "opaque" => entry.opaque = value == "y",
                _ => {
                    let name = unescape(key.strip_prefix("x:")?)?;
                    entry.xattrs.push((name, unhex(value)?));
                }
            }
        }
        Some(entry)
    }
}

fn is_odd(name: &[u8]) -> bool {
    name.is_empty() || name == b"." || name == b".."
}

/// The order of entries: by path, component by component.
pub fn path_order(a: &[u8], b: &[u8]) -> Ordering {
    // A slash sorts below every other byte that can be in a name.
    let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
    match a.iter().zip(b).position(|(a, b)| a != b) {
        Some(at) => rank(a[at]).cmp(&rank(b[at])),
        None => a.len().cmp(&b.len()),
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn escape(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        // `=` as well: a key ends at the last one of its word.
        if matches!(byte, 0x21..=0x7e) && !matches!(byte, b'%' | b'=') {
            out.push(char::from(*byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    Some(bytes)
}

/// Writes a manifest entry by entry.
pub(crate) struct TreeWriter<W> {
    inner: W,
    path: PathBuf,
    whole: blake3::Hasher,
    content: blake3::Hasher,
    count: u64,
    last: Vec<u8>,
    line: String,
}

/// What a finished manifest is called.
#[derive(Debug)]
pub(crate) struct TreeSummary {
    pub(crate) content: ContentId,
    pub(crate) manifest: String,
    pub(crate) count: u64,
}

impl<W: Write> TreeWriter<W> {
    /// `path` is for messages.
    pub(crate) fn new(inner: W, path: &Path) -> Result<Self> {
        let mut writer = Self {
            inner,
            path: path.to_owned(),
            whole: blake3::Hasher::new(),
            content: blake3::Hasher::new(),
            count: 0,
            last: Vec::new(),
            line: String::new(),
        };
        writer.put(HEAD)?;
        Ok(writer)
    }

    fn put(&mut self, text: &str) -> Result<()> {
        self.whole.update(text.as_bytes());
        self.inner.write_all(text.as_bytes()).map_err(Error::io("write", &self.path))
    }

    /// Adds an entry; entries must come in order.
    pub(crate) fn append(&mut self, entry: &TreeEntry) -> Result<()> {
        if self.count > 0 && path_order(&self.last, &entry.path) != Ordering::Less {
            return Err(Error::damaged(&self.path, "entries out of order"));
        }
        self.last.clone_from(&entry.path);
        self.count += 1;
        let mut line = std::mem::take(&mut self.line);
        let time = entry.line(&mut line);
        self.content.update(&line.as_bytes()[..time.start]);
        self.content.update(b"-");
        self.content.update(&line.as_bytes()[time.end..]);
        let put = self.put(&line);
        self.line = line;
        put
    }

    /// Ends the manifest.
    pub(crate) fn finish(mut self) -> Result<TreeSummary> {
        let manifest = self.whole.finalize().to_hex().to_string();
        let line = format!("end {} {manifest}\n", self.count);
        self.put(&line)?;
        self.inner.flush().map_err(Error::io("write", &self.path))?;
        let content = ContentId(self.content.finalize().to_hex().to_string());
        Ok(TreeSummary { content, manifest, count: self.count })
    }
}

/// Reads a manifest entry by entry. The seal is checked when the end is reached: act on entries only if a wrong
/// one does no harm, or read to the end first.
pub struct TreeReader<R> {
    inner: R,
    path: PathBuf,
    whole: blake3::Hasher,
    count: u64,
    done: bool,
    last: Vec<u8>,
}

impl<R: BufRead> TreeReader<R> {
    /// `path` is for messages.
    pub(crate) fn new(inner: R, path: &Path) -> Result<Self> {
        let mut reader = Self {
            inner,
            path: path.to_owned(),
            whole: blake3::Hasher::new(),
            count: 0,
            done: false,
            last: Vec::new(),
        };
        if reader.line()?.as_deref() != Some(HEAD) {
            return Err(reader.damaged("not a tree manifest"));
        }
        reader.whole.update(HEAD.as_bytes());
        Ok(reader)
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::damaged(&self.path, reason)
    }

    fn line(&mut self) -> Result<Option<String>> {
        let mut line = Vec::new();
        std::io::Read::take(&mut self.inner, MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(Error::io("read", &self.path))?;
        if line.is_empty() {
            return Ok(None);
        }
        String::from_utf8(line).map(Some).map_err(|_| self.damaged("not text"))
    }

    fn read_entry(&mut self) -> Result<Option<TreeEntry>> {
        if self.done {
            return Ok(None);
        }
        let Some(line) = self.line()? else { return Err(self.damaged("the end is missing")) };
        let Some(text) = line.strip_suffix('\n') else { return Err(self.damaged("a line is torn")) };
        if let Some(end) = text.strip_prefix("end ") {
            let seal = format!("{} {}", self.count, self.whole.finalize().to_hex());
            if end != seal {
                return Err(self.damaged("the checksum is wrong"));
            }
            self.done = true;
            return Ok(None);
        }
        self.whole.update(line.as_bytes());
        self.count += 1;
        let entry = TreeEntry::parse(text).ok_or_else(|| self.damaged("a line is malformed"))?;
        if self.count > 1 && path_order(&self.last, &entry.path) != Ordering::Less {
            return Err(self.damaged("entries are out of order"));
        }
        self.last.clone_from(&entry.path);
        Ok(Some(entry))
    }
}

impl<R: BufRead> Iterator for TreeReader<R> {
    type Item = Result<TreeEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.read_entry().transpose();
        if matches!(entry, Some(Err(_))) {
            self.done = true;
        }
        entry
    }
}

/// A whole manifest in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TreeManifest {
    /// The entries in order.
    pub entries: Vec<TreeEntry>,
}

impl TreeManifest {
    /// The entry at a path without a leading slash.
    pub fn get(&self, path: &[u8]) -> Option<&TreeEntry> {
        let index = self.entries.binary_search_by(|entry| path_order(&entry.path, path)).ok()?;
        self.entries.get(index)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> Vec<TreeEntry> {
        let mut file = TreeEntry::new(*b"a/b\xff %=x", TreeKind::File);
        file.size = 3;
        file.content = Some([7; 32]);
        file.mode = 0o4755;
        file.mtime = (-5, 12);
        file.xattrs = vec![(b"security.capability".to_vec(), vec![0, 255]), (b"user.a=b".to_vec(), vec![])];
        let mut link = TreeEntry::new("a/zz", TreeKind::Symlink);
        link.link = b"../to here=there".to_vec();
        let mut dir = TreeEntry::new("a", TreeKind::Dir);
        dir.opaque = true;
        let mut node = TreeEntry::new("a-b", TreeKind::BlockDevice);
        node.device = (8, 1);
        vec![dir, file, link, node, TreeEntry::new("gone", TreeKind::Whiteout)]
    }

    fn written(entries: &[TreeEntry]) -> (Vec<u8>, TreeSummary) {
        let mut bytes = Vec::new();
        let mut writer = TreeWriter::new(&mut bytes, Path::new("t")).unwrap();
        for entry in entries {
            writer.append(entry).unwrap();
        }
        let summary = writer.finish().unwrap();
        (bytes, summary)
    }

    fn read(bytes: &[u8]) -> Result<Vec<TreeEntry>> {
        TreeReader::new(bytes, Path::new("t"))?.collect()
    }

    #[test]
    fn entries_of_every_kind_survive() {
        let entries = sample();
        let (bytes, summary) = written(&entries);
        assert_eq!(summary.count, 5);
        assert_eq!(read(&bytes).unwrap(), entries);
    }

    #[test]
    fn any_cut_or_flipped_bit_is_found() {
        let (bytes, _) = written(&sample());
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[index] ^= 1 << bit;
                assert!(read(&bad).is_err(), "flip of bit {bit} at {index}");
            }
        }
    }

    #[test]
    fn the_content_id_ignores_times_and_nothing_else() {
        let entries = sample();
        let id = written(&entries).1.content;
        let mut touched = entries.clone();
        touched[1].mtime = (99, 0);
        assert_eq!(written(&touched).1.content, id);
        touched[1].mode = 0o755;
        assert_ne!(written(&touched).1.content, id);
    }

    #[test]
    fn order_is_by_component() {
        assert_eq!(path_order(b"a/z", b"a-b"), Ordering::Less);
        assert_eq!(path_order(b"a", b"a/b"), Ordering::Less);
        let out_of_order = [TreeEntry::new("b", TreeKind::Dir), TreeEntry::new("a", TreeKind::Dir)];
        let mut writer = TreeWriter::new(Vec::new(), Path::new("t")).unwrap();
        writer.append(&out_of_order[0]).unwrap();
        assert!(writer.append(&out_of_order[1]).is_err());
    }
}
