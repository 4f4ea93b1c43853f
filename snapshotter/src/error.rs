//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};

use cooper_oci::Digest;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of the store, naming the object that it concerns.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation on one of the store's own files failed.
    #[error("cannot {op} {path}")]
    Io {
        /// The verb, such as `open`.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A kernel operation on a tree failed.
    #[error(transparent)]
    Sys(#[from] cooper_sys::Error),
    /// Reading the stream of a layer failed.
    #[error("cannot read layer {layer}")]
    LayerStream {
        /// Digest of the layer, or a name for an archive.
        layer: String,
        /// What the stream said.
        source: io::Error,
    },
    /// A layer or archive is not a valid tar file, or is larger than allowed.
    #[error("layer {layer} is not a valid archive")]
    Archive {
        /// Digest of the layer, or a name for an archive.
        layer: String,
        /// What the reader said.
        source: cooper_oci::tar::TarError,
    },
    /// A member of a layer or archive cannot be represented in a file system tree.
    #[error("member {path} of the archive: {reason}")]
    Member {
        /// Name of the member, lossy.
        path: String,
        /// Why, in words.
        reason: String,
        /// What the kernel said, if it was asked.
        source: Option<Box<cooper_sys::Error>>,
    },
    /// Writing a tar stream failed.
    #[error("cannot write the archive of layer {layer}")]
    WriteLayer {
        /// Digest of the layer.
        layer: String,
        /// What the sink said.
        source: io::Error,
    },
    /// The store has no such blob.
    #[error("blob {0} is not in the store")]
    BlobMissing(Digest),
    /// Content has another digest than announced.
    #[error("content has digest {found}, expected {expected}")]
    DigestMismatch {
        /// What was announced.
        expected: Digest,
        /// What the bytes hash to.
        found: Digest,
    },
    /// Content has another size than announced.
    #[error("{digest} has {found} bytes, expected {expected}")]
    SizeMismatch {
        /// The object.
        digest: String,
        /// Bytes announced.
        expected: u64,
        /// Bytes seen.
        found: u64,
    },
    /// A stored blob does not hash to its name any more; it was moved out of the way.
    #[error("blob {0} was damaged and has been removed from the store")]
    BlobDamaged(Digest),
    /// A blob is larger than the caller accepts.
    #[error("blob {digest} has {size_bytes} bytes, more than the {max_bytes} allowed")]
    BlobTooLarge {
        /// The blob.
        digest: Digest,
        /// Its size.
        size_bytes: u64,
        /// The caller's limit.
        max_bytes: u64,
    },
    /// A layer has no usable snapshot.
    #[error("layer {0} is not unpacked")]
    SnapshotMissing(Digest),
    /// A tree manifest or record cannot be read.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why, in words.
        reason: String,
    },
    /// A snapshot does not give the bytes of its layer again (the layer came from elsewhere).
    #[error("the snapshot of layer {0} does not reproduce its archive")]
    NotReproducible(Digest),
    /// Files cannot be written into a layer from where they lie.
    #[error("the files must be copied before they become a layer")]
    NotSpliced,
    /// The store was written by a newer program.
    #[error(
        "store {path} has format {found}, this program knows {known}; use a newer version or another --root"
    )]
    StoreVersion {
        /// Directory of the store.
        path: PathBuf,
        /// Format on disk.
        found: String,
        /// Newest format that this program knows.
        known: u32,
    },
    /// A name cannot be used for an object.
    #[error("`{0}` is not a usable name")]
    BadName(String),
    /// A thread died while it held one of the store's locks.
    #[error("a thread of this program died inside the store")]
    Poisoned,
}

impl Error {
    pub(crate) fn io(op: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { op, path, source }
    }

    pub(crate) fn damaged(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.as_ref().to_owned(), reason: reason.into() }
    }

    pub(crate) fn member(path: &[u8], reason: impl Into<String>) -> Self {
        Self::Member { path: String::from_utf8_lossy(path).into_owned(), reason: reason.into(), source: None }
    }

    /// The kernel's error number, where the kernel refused something.
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } | Self::LayerStream { source, .. } | Self::WriteLayer { source, .. } => {
                source.raw_os_error()
            }
            Self::Sys(error) => error.source.raw_os_error(),
            Self::Member { source: Some(error), .. } => error.source.raw_os_error(),
            _ => None,
        }
    }

    /// Whether the disk or a quota is full.
    pub fn is_no_space(&self) -> bool {
        const ENOSPC: i32 = 28;
        const EDQUOT: i32 = 122;
        matches!(self.raw_os_error(), Some(ENOSPC | EDQUOT))
    }

    /// Whether the object is missing or was found damaged: a cache miss, repaired by doing the work again.
    pub fn is_miss(&self) -> bool {
        matches!(
            self,
            Self::BlobMissing(_) | Self::BlobDamaged(_) | Self::SnapshotMissing(_) | Self::NotReproducible(_)
        ) || matches!(self, Self::Damaged { .. })
    }
}
