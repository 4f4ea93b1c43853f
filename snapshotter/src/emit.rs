//! Writing a layer: the tar stream, its digest, the tree manifest and the hashes of all files in one pass.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;

use cooper_oci::tar::{Entry, EntryKind, Writer};
use cooper_oci::{Digest, HashingWriter};

use crate::chain::LayerInfo;
use crate::error::{Error, Result};
use crate::parts::{Measure, Parts};
use crate::pipe::{self, Batch, Part};
use crate::scan::{self, Found};
use crate::splice::Spliced;
use crate::tree::{TreeEntry, TreeKind, TreeReader, TreeSummary, TreeWriter};

/// Name of the member that makes its directory opaque.
const OPAQUE_MEMBER: &[u8] = b".wh..wh..opq";
/// Prefix of members that hide a name.
const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// What was written.
#[derive(Debug)]
pub(crate) struct Emitted {
    pub(crate) diff_id: Digest,
    pub(crate) size_bytes: u64,
    pub(crate) tree: TreeSummary,
    pub(crate) whiteouts: bool,
    pub(crate) disk_bytes: u64,
}

impl Emitted {
    /// What the store remembers of the layer.
    pub(crate) fn info(self) -> LayerInfo {
        LayerInfo {
            diff_id: self.diff_id,
            size_bytes: self.size_bytes,
            content: self.tree.content,
            entries: self.tree.count,
            blobs: Vec::new(),
        }
    }
}

/// Writes the layer that is unpacked in `root` to `sink`, and its manifest to the file `tree`. With `spliced`, what that
/// has belongs to the layer as well.
///
/// The calling thread walks and reads; unless the layer is small, another one makes the tar stream and the digests, which
/// is serial by nature. A large layer begins to go to disk meanwhile. Memory: a few batches.
pub(crate) fn emit_dir<W: Write + Send>(
    root: BorrowedFd<'_>,
    tree: &Path,
    spliced: Option<&Spliced<'_>>,
    sink: W,
) -> Result<Emitted> {
    let file = File::create(tree).map_err(Error::io("create", tree))?;
    let manifest = TreeWriter::new(io::BufWriter::new(file), tree)?;
    let tar = Writer::new(HashingWriter::new(io::BufWriter::new(sink)));
    let mut whiteouts = false;
    let mut blocks = 0;
    let mut flush = EarlyFlush::default();
    let layer = LayerWriter { tar, manifest, file: None };
    let layer = pipe::run(layer, LayerWriter::batch, |pipe| {
        gather(root, spliced, pipe, |found| {
            whiteouts |= found.entry.kind == TreeKind::Whiteout;
            if found.entry.kind != TreeKind::HardLink {
                blocks += found.stat.blocks;
            }
            flush.count(root, found.entry.size);
        })
    })?;
    let hashing = layer.tar.finish().map_err(write_error(b""))?;
    let (mut sink, diff_id, size_bytes) = hashing.finish();
    sink.flush().map_err(write_error(b""))?;
    let tree = layer.manifest.finish()?;
    Ok(Emitted { diff_id, size_bytes, tree, whiteouts, disk_bytes: blocks * 512 })
}

/// Bytes of the tar that [`emit_dir`] will write if nothing changes until then.
pub(crate) fn measure_dir(root: BorrowedFd<'_>, spliced: Option<&Spliced<'_>>) -> Result<u64> {
    let mut measure = Measure::new();
    gather(root, spliced, &mut measure, |_| ())?;
    Ok(measure.bytes())
}

/// Hands on what is unpacked in `root`, which `see` sees, with what `spliced` has.
fn gather(
    root: BorrowedFd<'_>,
    spliced: Option<&Spliced<'_>>,
    parts: &mut dyn Parts,
    mut see: impl FnMut(&Found<'_>),
) -> Result<()> {
    scan::walk(root, &mut |found: &Found<'_>| {
        let entry = found.entry.clone();
        if let Some(spliced) = spliced.filter(|spliced| spliced.is_at(&entry)) {
            return spliced.emit(entry, parts);
        }
        see(found);
        if entry.kind == TreeKind::File {
            parts.file(entry, &|| Ok(Box::new(File::from(found.open()?))))
        } else {
            parts.entry(entry)
        }
    })?;
    spliced.map_or(Ok(()), Spliced::check_met)
}

/// The serial half of [`emit_dir`].
pub(crate) struct LayerWriter<W: Write, M: Write> {
    tar: Writer<HashingWriter<io::BufWriter<W>>>,
    manifest: TreeWriter<M>,
    /// The file whose content comes next, and its hash so far, if it is not known.
    file: Option<(TreeEntry, Option<blake3::Hasher>)>,
}

impl<W: Write, M: Write> LayerWriter<W, M> {
    fn batch(&mut self, batch: &mut Batch) -> Result<()> {
        let mut bytes = batch.bytes.as_slice();
        for part in batch.parts.drain(..) {
            match part {
                Part::Entry(entry) => {
                    append(&mut self.tar, &entry, None).map_err(write_error(&entry.path))?;
                    if entry.kind == TreeKind::File {
                        let hasher = entry.content.is_none().then(blake3::Hasher::new);
                        self.file = Some((entry, hasher));
                    } else {
                        self.manifest.append(&entry)?;
                    }
                }
                Part::Data(length) => {
                    let (data, rest) = bytes.split_at(length.min(bytes.len()));
                    bytes = rest;
                    if let Some((entry, hasher)) = &mut self.file {
                        if let Some(hasher) = hasher {
                            hasher.update(data);
                        }
                        self.tar.write_all(data).map_err(write_error(&entry.path))?;
                    }
                }
                Part::End => {
                    if let Some((mut entry, hasher)) = self.file.take() {
                        if let Some(hasher) = hasher {
                            entry.content = Some(*hasher.finalize().as_bytes());
                        }
                        self.manifest.append(&entry)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Begins to bring a layer to disk before the sync that its record waits for, so that this one has little left to do.
#[derive(Default)]
struct EarlyFlush {
    bytes: u64,
    entries: u64,
    begun: bool,
}

impl EarlyFlush {
    /// A layer of so many bytes, or of so many entries, is worth a thread.
    const WORTH_BYTES: u64 = 8 << 20;
    const WORTH_ENTRIES: u64 = 1000;

    fn count(&mut self, root: BorrowedFd<'_>, bytes: u64) {
        self.bytes += bytes;
        self.entries += 1;
        let worth = self.bytes >= Self::WORTH_BYTES || self.entries >= Self::WORTH_ENTRIES;
        if worth && !std::mem::replace(&mut self.begun, true) {
            // A descriptor of its own: an error that the kernel tells this one, the later sync is told as well.
            let flags = cooper_sys::fs::OFlags::RDONLY | cooper_sys::fs::OFlags::DIRECTORY;
            if let Ok(own) = cooper_sys::fs::open_at(root, ".", flags) {
                std::thread::spawn(move || drop(cooper_sys::fs::syncfs(own)));
            }
        }
    }
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
    root: BorrowedFd<'_>,
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
    root: BorrowedFd<'_>,
    sink: W,
) -> Result<(Digest, u64)> {
    let mut tar = Writer::new(HashingWriter::new(io::BufWriter::new(sink)));
    for entry in manifest {
        let entry = entry?;
        if entry.kind == TreeKind::File {
            let flags = cooper_sys::fs::OFlags::RDONLY | cooper_sys::fs::OFlags::NOFOLLOW;
            let path = Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&entry.path));
            let mut file = File::from(cooper_sys::fs::open_in_root(root, path, flags, 0)?);
            append(&mut tar, &entry, Some(&mut file)).map_err(write_error(&entry.path))?;
        } else {
            append(&mut tar, &entry, None).map_err(write_error(&entry.path))?;
        }
    }
    let hashing = tar.finish().map_err(write_error(b""))?;
    let (mut sink, digest, size) = hashing.finish();
    sink.flush().map_err(write_error(b""))?;
    Ok((digest, size))
}

pub(crate) fn write_error(path: &[u8]) -> impl FnOnce(io::Error) -> Error {
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
