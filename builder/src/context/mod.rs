//! Build contexts: directories of the client, read where they are, never copied as a whole.
//!
//! Owns: the opened directory, its ignore patterns, and what is known of the contents of its files
//! ([`StatIndex`]), so that an unchanged tree costs one stat a file. Links are resolved inside the directory only.
//! Must not: write anything into it.

mod index;
pub(crate) mod main_context;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use cooper_frontend::dockerignore::Matcher;
use cooper_sys::fs::{self, Stat};

use crate::copy::{ContentHasher, SourceTree};
pub use index::StatIndex;

/// A client directory.
#[derive(Debug, Clone)]
pub struct Context {
    root: Arc<std::os::fd::OwnedFd>,
    ignore: Option<Arc<Matcher>>,
    index: Arc<SharedIndex>,
}

#[derive(Debug)]
struct SharedIndex(Mutex<StatIndex>);

impl Context {
    /// Opens the directory at a path of the client. Files that `ignore` excludes do not exist in it; `index` is what an
    /// earlier build learned.
    pub fn open(
        dir: &Path,
        ignore: Option<Matcher>,
        index: Option<StatIndex>,
    ) -> cooper_sys::Result<Context> {
        Ok(Context {
            root: Arc::new(fs::open_dir(dir)?),
            ignore: ignore.map(Arc::new),
            index: Arc::new(SharedIndex(Mutex::new(index.unwrap_or_default()))),
        })
    }

    /// Its files as a source of COPY and ADD.
    pub fn tree(&self) -> cooper_sys::Result<SourceTree> {
        let root = self.root.try_clone().map_err(|e| cooper_sys::Error::new("dup", "context", e))?;
        Ok(SourceTree::client(root, self.ignore.clone(), self.index.clone()))
    }

    /// Writes what was learned for the next build, if anything was. Costs nothing otherwise.
    pub fn save_index(&self, path: &Path) -> std::io::Result<()> {
        self.index.lock().save(path)
    }
}

impl SharedIndex {
    fn lock(&self) -> std::sync::MutexGuard<'_, StatIndex> {
        // An entry is put in whole or not at all: a panic elsewhere does no harm to it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ContentHasher for SharedIndex {
    fn known(&self, _: &[u8], stat: &Stat) -> Option<[u8; 32]> {
        self.lock().get(stat)
    }

    fn learn(&self, _: &[u8], stat: &Stat, digest: [u8; 32]) {
        self.lock().insert(stat, digest);
    }

    fn is_current(&self, _: &[u8], stat: &Stat) -> bool {
        self.lock().is_current(stat)
    }
}
