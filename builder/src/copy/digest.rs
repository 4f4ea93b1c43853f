//! The content key of a selection: names, kinds, modes, owners, link targets, extended attributes and contents; never
//! times.
//!
//! Format: BLAKE3 over a version line and length-prefixed fields, one record a file in walk order. Changing anything
//! here misses every cache: a test pins it. Contents that nobody knows yet are read by several threads, a batch at a
//! time, so that memory stays bounded.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Mutex, PoisonError};

use cooper_frontend::graph::SourceKind;
use cooper_sys::fs::{self, FileKind, OFlags, Stat};

use super::CopyError;
use super::error::Doing as _;
use super::select::{Content, Selection};
use super::source::{Files, Kind};
use super::walk::{Item, Role, Visitor, walk};
use super::xattrs;

const VERSION: &[u8] = b"cooper copy content 1\n";
/// Records held back until their contents are known.
const BATCH: usize = 2048;
/// What is read of a file at once.
const BUFFER_BYTES: usize = 128 << 10;

/// What a selection holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDigest {
    /// Equal for equal content.
    pub digest: [u8; 32],
    /// For people: each path as named in the source, and mode with a short digest of what it holds.
    pub inputs: Vec<(String, String)>,
}

/// Digest of a selection.
pub fn digest(selection: &Selection) -> Result<[u8; 32], CopyError> {
    Ok(examine(selection, 0)?.digest)
}

/// The files of a selection with short digests, to explain a cache miss.
pub fn named_inputs(selection: &Selection) -> Result<Vec<(String, String)>, CopyError> {
    Ok(examine(selection, usize::MAX)?.inputs)
}

/// Both at once, with at most so many of the names.
pub fn examine(selection: &Selection, most_names: usize) -> Result<ContentDigest, CopyError> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(VERSION);
    let (tree, matches, rules) = match &selection.content {
        Content::Inline(file) => {
            let content = blake3::hash(&file.content);
            field(&mut hasher, b"inline");
            field(&mut hasher, file.name.as_bytes());
            hasher.update(&file.mode.to_le_bytes());
            hasher.update(content.as_bytes());
            let value = format!("{:04o} {}", file.mode, short(content.as_bytes()));
            let inputs = if most_names > 0 { vec![(file.name.clone(), value)] } else { Vec::new() };
            return Ok(ContentDigest { digest: *hasher.finalize().as_bytes(), inputs });
        }
        Content::Files { tree, matches, rules } => (tree, matches, rules),
    };
    let mut inputs = Vec::new();
    if let Kind::Files(files) = &tree.0 {
        for found in matches {
            field(&mut hasher, b"match");
            field(&mut hasher, &found.named);
            let mut records = Records {
                files,
                keeps_owner: selection.keeps_owner(),
                fixed_mode: matches!(selection.kind, SourceKind::Http { .. }).then_some(0o600),
                named: &found.named,
                hasher: &mut hasher,
                inputs: &mut inputs,
                most_names,
                waiting: Vec::new(),
            };
            walk(files, &found.path, rules, &mut records)?;
            records.flush()?;
        }
    }
    Ok(ContentDigest { digest: *hasher.finalize().as_bytes(), inputs })
}

/// First characters of a digest.
pub(crate) fn short(digest: &[u8; 32]) -> String {
    blake3::Hash::from(*digest).to_hex()[..12].to_owned()
}

fn field(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

struct Record {
    /// All fields but the content, as hashed.
    head: Vec<u8>,
    relative: Vec<u8>,
    path: Vec<u8>,
    stat: Stat,
    mode: u32,
    content: Option<[u8; 32]>,
    link: Option<Vec<u8>>,
}

struct Records<'r> {
    files: &'r Files,
    keeps_owner: bool,
    fixed_mode: Option<u32>,
    named: &'r [u8],
    hasher: &'r mut blake3::Hasher,
    inputs: &'r mut Vec<(String, String)>,
    most_names: usize,
    waiting: Vec<Record>,
}

impl Visitor for Records<'_> {
    fn enter(&mut self, dir: &Item<'_>, _: Role) -> Result<(), CopyError> {
        self.add(dir)
    }

    fn leave(&mut self, _: &Item<'_>, _: Role) -> Result<(), CopyError> {
        Ok(())
    }

    fn file(&mut self, file: &Item<'_>) -> Result<(), CopyError> {
        self.add(file)
    }
}

impl Records<'_> {
    fn add(&mut self, item: &Item<'_>) -> Result<(), CopyError> {
        let stat = item.stat;
        let mut head = head_of(item.relative, stat.kind);
        // The root of a tree belongs to nobody: contexts are not to differ by the folder that they lie in.
        let is_root = item.path.is_empty();
        let mode = if is_root || stat.is_symlink() { 0 } else { self.fixed_mode.unwrap_or(stat.mode) };
        head.extend(mode.to_le_bytes());
        let (uid, gid) = if self.keeps_owner && !is_root { (stat.uid, stat.gid) } else { (0, 0) };
        head.extend(uid.to_le_bytes());
        head.extend(gid.to_le_bytes());
        if self.keeps_owner && !is_root {
            for (name, value) in xattrs::of(item)? {
                push_field(&mut head, &name);
                push_field(&mut head, &value);
            }
        }
        let mut link = None;
        let mut content = None;
        match stat.kind {
            FileKind::Symlink => {
                let target = fs::readlink_at(item.parent, item.name).doing("read the link", item.path)?;
                push_field(&mut head, target.as_bytes());
                link = Some(target.as_bytes().to_vec());
            }
            FileKind::CharDevice | FileKind::BlockDevice => {
                head.extend(stat.rdev_major.to_le_bytes());
                head.extend(stat.rdev_minor.to_le_bytes());
            }
            FileKind::File => content = self.files.hasher.known(item.path, stat),
            FileKind::Dir | FileKind::Fifo | FileKind::Socket => {}
        }
        self.waiting.push(Record {
            head,
            relative: item.relative.to_vec(),
            path: item.path.to_vec(),
            stat: *stat,
            mode,
            content,
            link,
        });
        if self.waiting.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    /// Hashes what is waiting: contents first, in parallel, then the records in their order.
    fn flush(&mut self) -> Result<(), CopyError> {
        read_contents(self.files, &mut self.waiting)?;
        for record in self.waiting.drain(..) {
            field(self.hasher, &record.head);
            if let Some(content) = &record.content {
                self.hasher.update(content);
            }
            if self.inputs.len() < self.most_names {
                self.inputs.push((name_of(self.named, &record.relative), describe(&record)));
            }
        }
        Ok(())
    }
}

fn head_of(relative: &[u8], kind: FileKind) -> Vec<u8> {
    let kind: u8 = match kind {
        // A socket arrives as an empty file.
        FileKind::File | FileKind::Socket => b'f',
        FileKind::Dir => b'd',
        FileKind::Symlink => b'l',
        FileKind::CharDevice => b'c',
        FileKind::BlockDevice => b'b',
        FileKind::Fifo => b'p',
    };
    let mut head = Vec::with_capacity(relative.len() + 24);
    push_field(&mut head, relative);
    head.push(kind);
    head
}

fn push_field(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend((bytes.len() as u64).to_le_bytes());
    to.extend_from_slice(bytes);
}

fn name_of(named: &[u8], relative: &[u8]) -> String {
    let path = match (named.is_empty(), relative.is_empty()) {
        (true, true) => b".".to_vec(),
        (true, false) => relative.to_vec(),
        (false, true) => named.to_vec(),
        (false, false) => [named, relative].join(&b'/'),
    };
    String::from_utf8_lossy(&path).into_owned()
}

fn describe(record: &Record) -> String {
    match (&record.content, &record.link) {
        (Some(content), _) => format!("{:04o} {}", record.mode, short(content)),
        (None, Some(target)) => format!("link to {}", String::from_utf8_lossy(target)),
        (None, None) if record.stat.is_dir() => format!("{:04o} directory", record.mode),
        (None, None) => format!("{:04o} special file", record.mode),
    }
}

/// Reads all regular files among `records` whose content is not known.
fn read_contents(files: &Files, records: &mut [Record]) -> Result<(), CopyError> {
    let unknown: Vec<&mut Record> =
        records.iter_mut().filter(|record| record.stat.is_file() && record.content.is_none()).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    // Starting a thread costs as much as reading a few small files.
    let helpers = (unknown.len() / 16).min(threads.saturating_sub(1));
    let queue = Mutex::new(unknown.into_iter());
    let work = || {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(record) = next else { return Ok(()) };
            record.content = Some(read_content(files, &record.path, &record.stat, &mut buffer)?);
        }
    };
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
        let own = work();
        // A thread that panicked has left a file unread, which the caller must not take for read.
        let lost = || CopyError::Changed { path: "/".into() };
        helpers.into_iter().fold(own, |all, helper| all.and(helper.join().unwrap_or_else(|_| Err(lost()))))
    })
}

/// Reads one file whose attributes were `stat`.
fn read_content(files: &Files, path: &[u8], stat: &Stat, buffer: &mut [u8]) -> Result<[u8; 32], CopyError> {
    let changed = || CopyError::Changed { path: super::error::rooted(path) };
    let file = fs::open_in_root(files.root(), OsStr::from_bytes(path), OFlags::RDONLY | OFlags::NOFOLLOW, 0)
        .doing("open", path)?;
    let before = fs::fstat(&file).doing("stat", path)?;
    if !before.is_file() || (before.dev, before.ino) != (stat.dev, stat.ino) {
        return Err(changed());
    }
    let mut file = std::fs::File::from(file);
    let digest = hash_reader(&mut file, before.size, buffer)
        .map_err(|e| cooper_sys::Error::at("read", OsStr::from_bytes(path), e))
        .doing("read", path)?;
    let after = fs::fstat(&file).doing("stat", path)?;
    if (after.size, after.mtime, after.ctime) == (before.size, before.mtime, before.ctime) {
        files.hasher.learn(path, &after, digest);
    } else if files.client {
        return Err(changed());
    }
    Ok(digest)
}

/// Reads a file of `size` bytes to its end. One read tells the end of a file that is as long as it was said to be and
/// shorter than the buffer.
fn hash_reader(file: &mut impl Read, size: u64, buffer: &mut [u8]) -> std::io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut total = 0;
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok(*hasher.finalize().as_bytes()),
            Ok(length) => {
                hasher.update(&buffer[..length]);
                total += length as u64;
                if total == size && length < buffer.len() {
                    return Ok(*hasher.finalize().as_bytes());
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
