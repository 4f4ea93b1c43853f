//! Getting layers and whole trees out of the store.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cooper_oci::compress::{self, Compression};
use cooper_oci::tar::Writer;
use cooper_oci::{Digest, HashingReader, media};
use cooper_sys::fs::{self, FileKind};

use crate::attrs::Attributes;
use crate::chain::{Chain, DiffId};
use crate::copy::{self, parent_dir};
use crate::emit;
use crate::error::{Error, Result};
use crate::scan::{self, Found, Visitor};
use crate::snapshots::{Located, open_tree};
use crate::store::Store;
use crate::tree::TreeKind;

/// Options of [`Store::export_dir`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportOptions {
    /// Owner of everything, instead of the owners in the image.
    pub owner: Option<(u32, u32)>,
    /// Time of everything in Unix seconds, instead of the times in the image.
    pub time: Option<i64>,
}

impl Store {
    /// Writes the uncompressed tar of a layer: made again from the snapshot if the layer was made here, else from a
    /// blob of it. The bytes have the diff ID as digest, or an error is returned once all is written.
    pub fn layer_tar(&self, diff_id: &DiffId, sink: &mut dyn Write) -> Result<()> {
        let located = match self.any_snapshot(diff_id) {
            Ok(located) => Some(located),
            Err(Error::SnapshotMissing(_)) => None,
            Err(error) => return Err(error),
        };
        if let Some(located) = located.as_ref().filter(|located| located.meta.made_here) {
            return self.tar_of_snapshot(diff_id, located, sink);
        }
        if let Some((blob, compression)) = self.kept_form(diff_id)? {
            return copy_blob(diff_id, blob, compression, sink);
        }
        match located {
            Some(located) => self.tar_of_snapshot(diff_id, &located, sink),
            None => Err(Error::SnapshotMissing(diff_id.clone())),
        }
    }

    /// A form of a layer whose blob is in the store. Its bytes are not checked.
    pub fn kept_form(&self, diff_id: &DiffId) -> Result<Option<(File, Compression)>> {
        for form in self.layer(diff_id)?.map(|info| info.blobs).unwrap_or_default() {
            // Parameters behind the type tell apart forms of one type.
            let media_type = form.media_type.split(';').next().unwrap_or_default();
            let Some(compression) = media::compression_of(media_type) else { continue };
            match self.open_blob(&form.digest) {
                Ok(blob) => return Ok(Some((blob, compression))),
                Err(Error::BlobMissing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        // It may have come uncompressed.
        match self.open_blob(diff_id) {
            Ok(blob) => Ok(Some((blob, Compression::None))),
            Err(Error::BlobMissing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn tar_of_snapshot(&self, diff_id: &DiffId, located: &Located, sink: &mut dyn Write) -> Result<()> {
        let root = fs::open_dir(&located.fs)?;
        let (found, _) = emit::emit_manifest(open_tree(self.layout(), &located.id)?, root.as_fd(), sink)?;
        if found == *diff_id {
            return Ok(());
        }
        // Names the file, if one is to blame.
        self.inner().check(&located.id, &located.meta)?;
        Err(Error::NotReproducible(diff_id.clone()))
    }

    /// Writes the merged tree of a chain as one tar, without whiteouts, sorted. Returns its digest and size.
    pub fn flatten_tar(&self, chain: &Chain, sink: &mut dyn Write) -> Result<(Digest, u64)> {
        let failed = |source| Error::WriteLayer { layer: "of a whole tree".to_owned(), source };
        let mut tar = Writer::new(cooper_oci::HashingWriter::new(io::BufWriter::new(sink)));
        self.flatten_into(chain, b"", None, &mut tar)?;
        let (mut sink, digest, size) = tar.finish().map_err(failed)?.finish();
        sink.flush().map_err(failed)?;
        Ok((digest, size))
    }

    /// Appends the merged tree of a chain to a tar, as [`flatten_tar`](Self::flatten_tar) does, below a directory that
    /// exists unless its name is empty. With a time, in Unix seconds, everything has that one.
    pub fn flatten_into<W: Write>(
        &self,
        chain: &Chain,
        below: &[u8],
        time: Option<i64>,
        tar: &mut Writer<W>,
    ) -> Result<()> {
        let view = self.view(chain)?;
        let failed = |source| Error::WriteLayer { layer: "of a whole tree".to_owned(), source };
        let moved = |path: &[u8]| if below.is_empty() { path.to_vec() } else { [below, b"/", path].concat() };
        scan::walk(view.root(), &mut |found: &Found<'_>| {
            let mut entry = found.entry.clone();
            entry.opaque = false;
            entry.path = moved(&entry.path);
            if entry.kind == TreeKind::HardLink {
                entry.link = moved(&entry.link);
            }
            if let Some(time) = time {
                entry.mtime = (time, 0);
            }
            if entry.kind == TreeKind::File {
                let mut file = File::from(found.open()?);
                emit::append(tar, &entry, Some(&mut file)).map_err(failed)
            } else {
                emit::append(tar, &entry, None).map_err(failed)
            }
        })
    }

    /// Paths of the merged tree of a chain that are no directories, sorted.
    pub fn file_paths(&self, chain: &Chain) -> Result<Vec<Vec<u8>>> {
        let view = self.view(chain)?;
        let mut paths = Vec::new();
        scan::walk(view.root(), &mut |found: &Found<'_>| {
            if !matches!(found.entry.kind, TreeKind::Dir | TreeKind::Whiteout) {
                paths.push(found.entry.path.clone());
            }
            Ok(())
        })?;
        Ok(paths)
    }

    /// Copies the merged tree of a chain into a directory, which is made if missing. Other files in it stay; files
    /// of the same name are replaced. Device nodes and attributes that cannot be set are left out.
    pub fn export_dir(&self, chain: &Chain, dest: &Path, options: ExportOptions) -> Result<()> {
        let view = self.view(chain)?;
        std::fs::create_dir_all(dest).map_err(Error::io("create", dest))?;
        let target = fs::open_dir(dest)?;
        scan::walk(view.root(), &mut Exporter { target: target.as_fd(), options })
    }
}

fn copy_blob(diff_id: &DiffId, blob: File, compression: Compression, sink: &mut dyn Write) -> Result<()> {
    let read = |source| Error::LayerStream { layer: diff_id.to_string(), source };
    let plain = compress::decoder(blob, compression).map_err(read)?;
    let mut stream = HashingReader::with_algorithm(plain, diff_id.algorithm());
    let mut buffer = vec![0; 1 << 17];
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read(error)),
        };
        sink.write_all(&buffer[..count])
            .map_err(|source| Error::WriteLayer { layer: diff_id.to_string(), source })?;
    }
    let (_, found, _) = stream.finish();
    if found == *diff_id { Ok(()) } else { Err(Error::DigestMismatch { expected: diff_id.clone(), found }) }
}

struct Exporter<'a> {
    target: BorrowedFd<'a>,
    options: ExportOptions,
}

impl Visitor for Exporter<'_> {
    fn enter(&mut self, found: &Found<'_>) -> Result<()> {
        let entry = &found.entry;
        let dir = parent_dir(self.target, &entry.path)?;
        let dir = dir.as_fd();
        let existing = match fs::stat_at(dir, found.name) {
            Ok(stat) => Some(stat.kind),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        let keep = entry.kind == TreeKind::Dir && existing == Some(FileKind::Dir);
        if existing.is_some() && !keep {
            fs::remove_tree_at(dir, found.name)?;
        }
        let made = match entry.kind {
            TreeKind::Whiteout => return Ok(()),
            TreeKind::HardLink => {
                let from = parent_dir(self.target, &entry.link)?;
                let name = entry.link.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                fs::link_at(&from, OsStr::from_bytes(name), dir, found.name)?;
                return Ok(());
            }
            TreeKind::Dir if keep => Ok(()),
            _ => copy::create(found, dir, found.name),
        };
        match made {
            Err(Error::Sys(error))
                if error.is_denied()
                    && matches!(entry.kind, TreeKind::CharDevice | TreeKind::BlockDevice) =>
            {
                return Ok(());
            }
            other => other?,
        }
        let mut attributes = Attributes::of(entry);
        if let Some((uid, gid)) = self.options.owner {
            (attributes.uid, attributes.gid) = (uid, gid);
        }
        if let Some(time) = self.options.time {
            attributes.mtime = (time, 0);
        }
        for (key, value) in std::mem::take(&mut attributes.xattrs) {
            match fs::set_xattr_at(dir, found.name, OsStr::from_bytes(&key), &value) {
                Err(error) if !error.is_denied() && !error.is_unsupported() => return Err(error.into()),
                _ => {}
            }
        }
        attributes.apply(dir, found.name)
    }

    fn leave(&mut self, found: &Found<'_>) -> Result<()> {
        let dir = parent_dir(self.target, &found.entry.path)?;
        let time = self.options.time.map_or(found.entry.mtime, |time| (time, 0));
        fs::utimens_at(&dir, found.name, time)?;
        Ok(())
    }
}
