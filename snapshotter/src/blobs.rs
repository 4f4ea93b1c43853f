//! The content store: `blobs/<algorithm>/<hex>`.
//!
//! A blob is written in `tmp`, hashed on the way, synced, renamed, and its directory synced: what has a name is
//! whole. Many that end together share both syncs. Blobs are immutable. One that does not hash to its name is removed: a missing blob can be fetched again.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cooper_oci::{Algorithm, Digest, Hasher};
use cooper_sys::fs::Leaving;

use crate::error::{Error, Result};
use crate::files;
use crate::partial;
use crate::store::{Inner, Store};

/// A blob on its way into the store. Dropping it without [`commit`](Self::commit) discards it, unless it was made to be
/// gone on with.
#[derive(Debug)]
pub struct BlobWriter {
    file: BlobFile,
    hasher: Hasher,
    expected: Option<Digest>,
    expected_size: Option<u64>,
}

/// The file of a blob on its way into the store, for bytes that are hashed elsewhere. Dropping it without
/// [`commit_as`](Self::commit_as) discards it.
#[derive(Debug)]
pub struct BlobFile {
    store: Arc<Inner>,
    draft: Draft,
    written: u64,
    leaving: Leaving,
}

/// A file that is not a blob yet.
#[derive(Debug)]
enum Draft {
    /// Goes with its writer.
    Temporary(tempfile::NamedTempFile),
    /// Stays (see `partial`).
    Partial(File, PathBuf),
}

impl Draft {
    fn file(&self) -> &File {
        match self {
            Self::Temporary(file) => file.as_file(),
            Self::Partial(file, _) => file,
        }
    }

    /// Gives it its name as a blob, in place of an older file, which at best has the same bytes.
    fn persist(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Temporary(file) => file.persist(path).map(drop).map_err(|error| error.error),
            Self::Partial(_, from) => fs::rename(from, path),
        }
    }
}

impl Store {
    /// The size in bytes of a blob, if the store has it. The blob then stays until the store is closed.
    pub fn has_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        self.inner().hold_blob(digest)?;
        let path = self.layout().blob(digest);
        match fs::metadata(&path) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("look at", path)(error)),
        }
    }

    /// Opens a blob. Its bytes are not checked: hash them while reading where it matters.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        self.inner().hold_blob(digest)?;
        let path = self.layout().blob(digest);
        match File::open(&path) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::BlobMissing(digest.clone())),
            Err(error) => Err(Error::io("open", path)(error)),
        }
    }

    /// Starts a blob. With `expected` and `size_bytes`, other content is refused.
    pub fn blob_writer(&self, expected: Option<&Digest>, size_bytes: Option<u64>) -> Result<BlobWriter> {
        Ok(BlobWriter::new(self.blob_file()?, expected, size_bytes))
    }

    /// Starts the file of a blob, for bytes that are hashed elsewhere.
    pub fn blob_file(&self) -> Result<BlobFile> {
        let tmp = self.session().tmp();
        let file = tempfile::Builder::new()
            .prefix("blob-")
            .tempfile_in(tmp)
            .map_err(Error::io("create a temporary file in", tmp))?;
        Ok(self.draft(Draft::Temporary(file)))
    }

    /// Starts a blob, or goes on with what an earlier writer of it left, which is read for that. What this writer leaves
    /// unfinished may be gone on with, too, if the blob has [`RESUMED_FROM_BYTES`](crate::RESUMED_FROM_BYTES).
    pub fn resumed_blob_writer(&self, expected: &Digest, size_bytes: u64) -> Result<BlobWriter> {
        if size_bytes < partial::RESUMED_FROM_BYTES {
            return self.blob_writer(Some(expected), Some(size_bytes));
        }
        let Some((file, path)) = partial::open(self.layout(), expected)? else {
            return self.blob_writer(Some(expected), Some(size_bytes));
        };
        let draft = self.draft(Draft::Partial(file, path.clone()));
        let mut writer = BlobWriter::new(draft, Some(expected), Some(size_bytes));
        if !writer.take_up(expected, size_bytes).unwrap_or(false) {
            writer.restart().map_err(Error::io("write", path))?;
        }
        Ok(writer)
    }

    fn draft(&self, draft: Draft) -> BlobFile {
        BlobFile { store: Arc::clone(self.inner()), draft, written: 0, leaving: Leaving::default() }
    }

    /// A file without a name, on the store's disk, for what nobody needs any more when it is closed.
    pub fn scratch_file(&self) -> Result<File> {
        let tmp = self.session().tmp();
        tempfile::tempfile_in(tmp).map_err(Error::io("create a temporary file in", tmp))
    }

    /// Stores bytes under their SHA-256 digest.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::sha256_of(bytes);
        if self.has_blob(&digest)? == Some(bytes.len() as u64) {
            return Ok(digest);
        }
        let mut writer = self.blob_writer(Some(&digest), Some(bytes.len() as u64))?;
        writer.write_all(bytes).map_err(Error::io("write", self.layout().blob(&digest)))?;
        writer.commit()
    }

    /// Reads a whole blob of at most `max_bytes` and checks its digest. A damaged one is removed.
    pub fn read_blob_verified(&self, digest: &Digest, max_bytes: u64) -> Result<Vec<u8>> {
        let path = self.layout().blob(digest);
        let file = self.open_blob(digest)?;
        let size_bytes = file.metadata().map_err(Error::io("look at", &path))?.len();
        if size_bytes > max_bytes {
            return Err(Error::BlobTooLarge { digest: digest.clone(), size_bytes, max_bytes });
        }
        let mut bytes = Vec::new();
        file.take(max_bytes).read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
        if digest.verifies(&bytes) {
            return Ok(bytes);
        }
        files::remove_file(&path)?;
        Err(Error::BlobDamaged(digest.clone()))
    }

    /// Checks the digest of a blob of any size. A damaged one is removed, and reported as [`Error::BlobDamaged`].
    pub fn verify_blob(&self, digest: &Digest) -> Result<()> {
        let path = self.layout().blob(digest);
        let mut file = self.open_blob(digest)?;
        let mut hasher = digest.hasher();
        io::copy(&mut file, &mut hasher).map_err(Error::io("read", &path))?;
        if hasher.finish() == *digest {
            return Ok(());
        }
        files::remove_file(&path)?;
        Err(Error::BlobDamaged(digest.clone()))
    }

    /// Removes a blob that was found to be damaged; a missing one is fine.
    pub fn discard_blob(&self, digest: &Digest) -> Result<()> {
        files::remove_file(&self.layout().blob(digest))
    }
}

impl BlobFile {
    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The file, to read at positions what was written so far.
    pub fn reader(&self) -> Result<File> {
        self.draft.file().try_clone().map_err(Error::io("open", "a blob"))
    }

    /// Makes the blob durable and visible under the digest of what was written.
    pub fn commit_as(self, digest: &Digest) -> Result<()> {
        let path = self.store.layout.blob(digest);
        self.store.hold_blob(digest)?;
        let file = self.draft.file();
        file.set_permissions(fs::Permissions::from_mode(0o444)).map_err(Error::io("chmod", &path))?;
        self.store.sync_blob(file, &path)?;
        self.draft.persist(&path).map_err(Error::io("rename to", &path))?;
        self.store.sync_blob_names(digest.algorithm())
    }
}

impl Write for BlobFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.draft.file().write(bytes)?;
        self.written += count as u64;
        self.leaving.reached(self.draft.file(), self.written);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter {
    fn new(file: BlobFile, expected: Option<&Digest>, size_bytes: Option<u64>) -> Self {
        let hasher = expected.map_or_else(|| Hasher::new(Algorithm::Sha256), Digest::hasher);
        Self { file, hasher, expected: expected.cloned(), expected_size: size_bytes }
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.file.written
    }

    /// The file, to read at positions what was written so far.
    pub fn reader(&self) -> Result<File> {
        self.file.reader()
    }

    /// The digest of the bytes written so far.
    pub fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Hashes what is there; `false` if it cannot be the beginning of the blob.
    fn take_up(&mut self, expected: &Digest, size_bytes: u64) -> io::Result<bool> {
        let mut file = self.file.draft.file();
        let mut written = 0;
        let mut buffer = vec![0; 1 << 20];
        while written <= size_bytes {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            self.hasher.update(&buffer[..count]);
            written += count as u64;
        }
        (self.file.written, self.file.leaving) = (written, Leaving::from(written));
        Ok(written < size_bytes || written == size_bytes && self.digest() == *expected)
    }

    /// Forgets the bytes written so far.
    pub fn restart(&mut self) -> io::Result<()> {
        let mut file = self.file.draft.file();
        file.set_len(0)?;
        file.rewind()?;
        self.hasher = self.expected.as_ref().map_or_else(|| Hasher::new(Algorithm::Sha256), Digest::hasher);
        (self.file.written, self.file.leaving) = (0, Leaving::default());
        Ok(())
    }

    /// Checks size and digest and makes the blob durable and visible.
    pub fn commit(self) -> Result<Digest> {
        let (found, written) = (self.hasher.finish(), self.file.written);
        if let Some(expected) = self.expected_size
            && expected != written
        {
            let digest = self.expected.as_ref().unwrap_or(&found).to_string();
            return Err(Error::SizeMismatch { digest, expected, found: written });
        }
        if let Some(expected) = self.expected
            && expected != found
        {
            return Err(Error::DigestMismatch { expected, found });
        }
        self.file.commit_as(&found)?;
        Ok(found)
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(limit) = self.expected_size
            && self.file.written + bytes.len() as u64 > limit
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("more than the announced {limit} bytes"),
            ));
        }
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
