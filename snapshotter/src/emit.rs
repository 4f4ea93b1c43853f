//! Writing a layer: the tar stream, its digest, the tree manifest and the hashes of all files in one pass.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::path::Path;

use cooper_oci::tar::{Entry, EntryKind, Writer};
use cooper_oci::{Digest, HashingWriter};

use crate::error::{Error, Result};
use crate::scan::{self, Found};
use crate::tree::{TreeEntry, TreeKind, TreeReader, TreeSummary, TreeWriter};

/// Name of the member that makes its directory opaque.
const OPAQUE_MEMBER: &[u8] = b".wh..wh..opq";
/// Prefix of members that hide a name.
const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// What was written.
pub(crate) struct Emitted {
    pub(crate) diff_id: Digest,
    pub(crate) size_bytes: u64,
    pub(crate) tree: TreeSummary,
    pub(crate) whiteouts: bool,
    pub(crate) disk_bytes: u64,
}

/// Writes the layer that is unpacked in `root` to `sink`, and its manifest to the file `tree`.
pub(crate) fn emit_dir<W: Write>(root: std::os::fd::BorrowedFd<'_>, tree: &Path, sink: W) -> Result<Emitted> {
    let file = File::create(tree).map_err(Error::io("create", tree))?;
    let mut manifest = TreeWriter::new(io::BufWriter::new(file), tree)?;
    let mut tar = Writer::new(HashingWriter::new(io::BufWriter::new(sink)));
    let mut whiteouts = false;
    let mut blocks = 0;
    scan::walk(root, &mut |found: &Found<'_>| {
        let mut entry = found.entry.clone();
        whiteouts |= entry.kind == TreeKind::Whiteout;
        if entry.kind != TreeKind::HardLink {
            blocks += found.stat.blocks;
        }
        if entry.kind == TreeKind::File {
            let mut data = HashingFile { file: File::from(found.open()?), hasher: blake3::Hasher::new() };
            append(&mut tar, &entry, Some(&mut data)).map_err(write_error(&entry.path))?;
            entry.content = Some(*data.hasher.finalize().as_bytes());
        } else {
            append(&mut tar, &entry, None).map_err(write_error(&entry.path))?;
        }
        manifest.append(&entry)
    })?;
    let hashing = tar.finish().map_err(write_error(b""))?;
    let (mut sink, diff_id, size_bytes) = hashing.finish();
    sink.flush().map_err(write_error(b""))?;
    let tree = manifest.finish()?;
    Ok(Emitted { diff_id, size_bytes, tree, whiteouts, disk_bytes: blocks * 512 })
}

/// What a manifest says about a snapshot as a whole.
pub(crate) struct Manifest {
    pub(crate) tree: TreeSummary,
    pub(crate) whiteouts: bool,
    pub(crate) disk_bytes: u64,
}

/// Writes the manifest of what is unpacked in `root` to the file `tree`. `hashes` has the content hashes that are
/// known already, by inode; other files are read.
pub(crate) fn write_manifest(
    root: std::os::fd::BorrowedFd<'_>,
    tree: &Path,
    hashes: &HashMap<u64, [u8; 32]>,
) -> Result<Manifest> {
    let file = File::create(tree).map_err(Error::io("create", tree))?;
    let mut manifest = TreeWriter::new(io::BufWriter::new(file), tree)?;
    let mut whiteouts = false;
    let mut blocks = 0;
    scan::walk(root, &mut |found: &Found<'_>| {
        let mut entry = found.entry.clone();
        whiteouts |= entry.kind == TreeKind::Whiteout;
        if entry.kind != TreeKind::HardLink {
            blocks += found.stat.blocks;
        }
        if entry.kind == TreeKind::File {
            entry.content = Some(match hashes.get(&found.stat.ino) {
                Some(known) => *known,
                None => hash_file(found)?,
            });
        }
        manifest.append(&entry)
    })?;
    Ok(Manifest { tree: manifest.finish()?, whiteouts, disk_bytes: blocks * 512 })
}

/// blake3 of a file's content.
pub(crate) fn hash_file(found: &Found<'_>) -> Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::from(found.open()?);
    let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&found.entry.path);
    io::copy(&mut file, &mut hasher).map_err(Error::io("read", name))?;
    Ok(*hasher.finalize().as_bytes())
}

/// Writes the layer that `manifest` describes and `root` holds to `sink` again. The content of each file is
/// checked against the manifest. Returns digest and size of the stream.
pub(crate) fn emit_manifest<R: BufRead, W: Write>(
    manifest: TreeReader<R>,
    root: std::os::fd::BorrowedFd<'_>,
    sink: W,
) -> Result<(Digest, u64)> {
    let mut tar = Writer::new(HashingWriter::new(io::BufWriter::new(sink)));
    for entry in manifest {
        let entry = entry?;
        if entry.kind == TreeKind::File {
            let flags = cooper_sys::fs::OFlags::RDONLY | cooper_sys::fs::OFlags::NOFOLLOW;
            let path = Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&entry.path));
            let file = File::from(cooper_sys::fs::open_in_root(root, path, flags, 0)?);
            let mut data = HashingFile { file, hasher: blake3::Hasher::new() };
            append(&mut tar, &entry, Some(&mut data)).map_err(write_error(&entry.path))?;
            if entry.content.is_some_and(|known| known != *data.hasher.finalize().as_bytes()) {
                return Err(Error::damaged(path, "the content is not what the manifest says"));
            }
        } else {
            append(&mut tar, &entry, None).map_err(write_error(&entry.path))?;
        }
    }
    let hashing = tar.finish().map_err(write_error(b""))?;
    let (mut sink, digest, size) = hashing.finish();
    sink.flush().map_err(write_error(b""))?;
    Ok((digest, size))
}

fn write_error(path: &[u8]) -> impl FnOnce(io::Error) -> Error {
    let layer = if path.is_empty() {
        "end of the archive".to_owned()
    } else {
        format!("at {}", String::from_utf8_lossy(path))
    };
    move |source| Error::WriteLayer { layer, source }
}

/// Appends an entry as members: one, and for an opaque directory its marker as well.
pub(crate) fn append<W: Write>(
    tar: &mut Writer<W>,
    entry: &TreeEntry,
    data: Option<&mut dyn Read>,
) -> io::Result<()> {
    let member = member(entry);
    match data {
        Some(data) => tar.append_with(&member, data)?,
        None => tar.append(&member)?,
    }
    if entry.opaque {
        let mut path = entry.path.clone();
        path.push(b'/');
        path.extend_from_slice(OPAQUE_MEMBER);
        tar.append(&Entry { path, ..Entry::default() })?;
    }
    Ok(())
}

/// The member for an entry. Times are whole seconds, as everywhere in images.
fn member(entry: &TreeEntry) -> Entry {
    let kind = match entry.kind {
        TreeKind::File => EntryKind::File,
        TreeKind::Dir => EntryKind::Dir,
        TreeKind::Symlink => EntryKind::Symlink,
        TreeKind::HardLink => EntryKind::HardLink,
        TreeKind::CharDevice => EntryKind::CharDevice,
        TreeKind::BlockDevice => EntryKind::BlockDevice,
        TreeKind::Fifo => EntryKind::Fifo,
        TreeKind::Whiteout => {
            let start = entry.path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            let mut path = entry.path[..start].to_vec();
            path.extend_from_slice(WHITEOUT_PREFIX);
            path.extend_from_slice(&entry.path[start..]);
            return Entry { path, ..Entry::default() };
        }
    };
    Entry {
        path: entry.path.clone(),
        kind,
        mode: entry.mode,
        uid: u64::from(entry.uid),
        gid: u64::from(entry.gid),
        size: entry.size,
        mtime: entry.mtime.0,
        mtime_nanos: 0,
        link: entry.link.clone(),
        dev_major: entry.device.0,
        dev_minor: entry.device.1,
        xattrs: entry.xattrs.iter().cloned().collect(),
        uname: Vec::new(),
        gname: Vec::new(),
    }
}

struct HashingFile {
    file: File,
    hasher: blake3::Hasher,
}

impl Read for HashingFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
