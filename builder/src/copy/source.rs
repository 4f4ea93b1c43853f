//! Where files come from: a tree below a descriptor, or files that the Dockerfile itself holds.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use cooper_frontend::dockerignore::Matcher;
use cooper_frontend::graph::InlineFile;
use cooper_sys::fs::Stat;

use super::CopyError;
use super::resolve::{Located, locate};

/// Knows digests of file contents, so that files need not be read again.
pub trait ContentHasher: Send + Sync {
    /// BLAKE3 of the content, if it is known for a file with exactly these attributes.
    fn known(&self, path: &[u8], stat: &Stat) -> Option<[u8; 32]>;

    /// Takes note of a digest just computed; the attributes were equal before and after reading.
    fn learn(&self, path: &[u8], stat: &Stat, digest: [u8; 32]);

    /// False if this file was hashed in this build, and its content may be another one now.
    fn is_current(&self, path: &[u8], stat: &Stat) -> bool {
        let _ = (path, stat);
        true
    }
}

/// Knows nothing: every file is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHasher;

impl ContentHasher for NoHasher {
    fn known(&self, _: &[u8], _: &Stat) -> Option<[u8; 32]> {
        None
    }

    fn learn(&self, _: &[u8], _: &Stat, _: [u8; 32]) {}
}

/// A source of COPY and ADD. Cheap to clone.
#[derive(Clone)]
pub struct SourceTree(pub(crate) Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Files(Files),
    Inline(Arc<Vec<InlineFile>>),
}

/// A directory of files.
#[derive(Clone)]
pub(crate) struct Files {
    root: Arc<OwnedFd>,
    pub ignore: Option<Arc<Matcher>>,
    /// Files of the client: owners become 0:0, extended attributes are dropped.
    pub client: bool,
    pub hasher: Arc<dyn ContentHasher>,
}

impl SourceTree {
    /// Files of a stage or an image: owners and extended attributes count.
    pub fn stage(root: OwnedFd, hasher: Arc<dyn ContentHasher>) -> SourceTree {
        SourceTree(Kind::Files(Files { root: Arc::new(root), ignore: None, client: false, hasher }))
    }

    /// Files of the client, of a download or of a checkout: everything belongs to root, extended attributes are
    /// dropped, and what `ignore` excludes does not exist.
    pub fn client(root: OwnedFd, ignore: Option<Arc<Matcher>>, hasher: Arc<dyn ContentHasher>) -> SourceTree {
        let ignore = ignore.filter(|matcher| !matcher.is_empty());
        SourceTree(Kind::Files(Files { root: Arc::new(root), ignore, client: true, hasher }))
    }

    /// Files given in the Dockerfile.
    pub fn inline(files: Vec<InlineFile>) -> SourceTree {
        SourceTree(Kind::Inline(Arc::new(files)))
    }
}

impl std::fmt::Debug for SourceTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Files(files) => {
                f.debug_struct("SourceTree").field("root", &files.root).finish_non_exhaustive()
            }
            Kind::Inline(files) => f.debug_tuple("SourceTree").field(files).finish(),
        }
    }
}

impl Files {
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Whether `path` (without links) is excluded. A hidden directory may yet exist for what is below it.
    pub fn is_hidden(&self, path: &[u8]) -> bool {
        !path.is_empty() && self.ignore.as_ref().is_some_and(|ignore| ignore.is_excluded(path))
    }

    /// Whether a directory that is hidden must be looked into.
    pub fn may_show_below(&self, path: &[u8]) -> bool {
        self.ignore.as_ref().is_some_and(|ignore| ignore.may_have_reincluded_below(path))
    }

    /// Follows a path in what is visible. A directory that it finds may still be empty of visible files.
    pub fn locate(&self, path: &[u8], follow_last: bool) -> Result<Located, CopyError> {
        locate(self.root(), path, follow_last, &|path, stat| {
            !self.is_hidden(path) || (stat.is_dir() && self.may_show_below(path))
        })
    }
}
