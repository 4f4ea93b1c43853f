//! What a layer consists of, on its way to whoever makes something of it.

use std::io::{self, Read};

use cooper_oci::tar::Writer;

use crate::emit;
use crate::error::Result;
use crate::tree::{TreeEntry, TreeKind};

/// Opens the content of a file.
pub(crate) type Content<'c> = dyn Fn() -> Result<Box<dyn Read + 'c>> + 'c;

/// Takes the entries of a layer in the order of its tar.
pub(crate) trait Parts {
    /// An entry that is no regular file.
    fn entry(&mut self, entry: TreeEntry) -> Result<()>;

    /// A regular file.
    fn file(&mut self, entry: TreeEntry, content: &Content<'_>) -> Result<()>;
}

/// Finds out how large the tar will be. Opens no file.
pub(crate) struct Measure(Writer<io::Sink>);

impl Measure {
    pub(crate) fn new() -> Self {
        Self(Writer::new(io::sink()))
    }

    /// Bytes of the whole archive.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.final_bytes()
    }
}

impl Parts for Measure {
    fn entry(&mut self, entry: TreeEntry) -> Result<()> {
        emit::append(&mut self.0, &entry, None).map_err(emit::write_error(&entry.path))?;
        if entry.kind == TreeKind::File {
            self.0.skip_data();
        }
        Ok(())
    }

    fn file(&mut self, entry: TreeEntry, _: &Content<'_>) -> Result<()> {
        self.entry(entry)
    }
}
