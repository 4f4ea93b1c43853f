//! What the tests of the store share. They need root; without it they say so and pass.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{Cursor, Read};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use cooper_oci::Digest;
use cooper_oci::tar::{Entry, EntryKind, Writer};
use cooper_snapshotter::{Chain, DiffId, Mode, Report, Result, Store};

pub fn skipped() -> bool {
    use std::os::unix::fs::MetadataExt;
    let skip = std::fs::metadata("/proc/self").unwrap().uid() != 0;
    if skip {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: needs root\n");
    }
    skip
}

pub struct Place {
    pub dir: tempfile::TempDir,
    pub store: Store,
}

pub fn place(mode: Mode) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_with(&dir.path().join("store"), mode).unwrap();
    Place { dir, store }
}

/// A path that leads to an open directory.
pub fn at(root: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd()))
}

/// A tar archive in the making.
pub struct Archive(Writer<Vec<u8>>);

pub fn archive() -> Archive {
    Archive(Writer::new(Vec::new()))
}

pub const TIME: i64 = 1_234_567_890;

pub fn entry(kind: EntryKind, path: &str, mode: u32) -> Entry {
    Entry { path: path.into(), kind, mode, mtime: TIME, ..Entry::default() }
}

impl Archive {
    pub fn add(mut self, entry: Entry) -> Self {
        self.0.append(&entry).unwrap();
        self
    }

    pub fn dir(self, path: &str) -> Self {
        self.add(entry(EntryKind::Dir, path, 0o755))
    }

    pub fn file(self, path: &str, data: &str) -> Self {
        self.file_as(entry(EntryKind::File, path, 0o644), data)
    }

    pub fn file_as(mut self, mut entry: Entry, data: &str) -> Self {
        entry.size = data.len() as u64;
        self.0.append_with(&entry, &mut data.as_bytes()).unwrap();
        self
    }

    pub fn symlink(self, path: &str, to: &str) -> Self {
        self.add(Entry { link: to.into(), ..entry(EntryKind::Symlink, path, 0o777) })
    }

    pub fn hard(self, path: &str, to: &str) -> Self {
        self.add(Entry { link: to.into(), ..entry(EntryKind::HardLink, path, 0o644) })
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0.finish().unwrap()
    }
}

/// Unpacks one more layer.
pub fn push(store: &Store, chain: &mut Chain, tar: &[u8]) -> Result<Report> {
    let next = chain.with(Digest::sha256_of(tar));
    let report = unpack(store, &next, &[tar])?;
    *chain = next;
    Ok(report)
}

/// Unpacks a chain whose missing layers are among `tars`.
pub fn unpack(store: &Store, chain: &Chain, tars: &[&[u8]]) -> Result<Report> {
    store.ensure_unpacked(chain, &|diff_id: &DiffId| {
        let tar = tars.iter().find(|tar| Digest::sha256_of(tar) == *diff_id).unwrap();
        Ok(Box::new(Cursor::new(tar.to_vec())) as Box<dyn Read>)
    })
}

/// A tree as text: one line for each file with all that matters.
pub fn listing(root: BorrowedFd<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    list_dir(&at(root), "", &mut lines);
    lines
}

fn list_dir(dir: &Path, prefix: &str, lines: &mut Vec<String>) {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let path = dir.join(&name);
        let shown = format!("{prefix}{}", name.to_string_lossy());
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let kind = meta.file_type();
        let head = format!("{shown} {:o} {}:{}", meta.mode() & 0o7777, meta.uid(), meta.gid());
        if kind.is_dir() {
            lines.push(format!("{head} dir"));
            list_dir(&path, &format!("{shown}/"), lines);
        } else if kind.is_symlink() {
            lines.push(format!("{head} -> {}", std::fs::read_link(&path).unwrap().display()));
        } else if kind.is_file() {
            let data = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            lines.push(format!("{head} file {data:?} links {}", meta.nlink()));
        } else {
            lines.push(format!("{head} node {} {}", meta.rdev(), kind.is_fifo()));
        }
    }
}

/// A base with a bit of everything.
pub fn base() -> Vec<u8> {
    archive()
        .dir("bin")
        .file_as(entry(EntryKind::File, "bin/su", 0o4755), "su")
        .add(Entry { link: b"bin/su".to_vec(), ..entry(EntryKind::HardLink, "bin/su2", 0o4755) })
        .dir("etc")
        .file("etc/passwd", "root:x:0:0::/:/bin/sh\n")
        .file("etc/hosts.allow", "all")
        .dir("lib.d")
        .file("lib.d/a", "a")
        .dir("lib.d/sub")
        .file("lib.d/sub/b", "b")
        .symlink("lib", "lib.d")
        .symlink("var", "/data/var")
        .dir("data")
        .dir("data/var")
        .file("data/var/log", "log")
        .bytes()
}
