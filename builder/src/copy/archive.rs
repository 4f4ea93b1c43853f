//! Archives given to ADD: told by content, whatever their name, and handed to an [`Unpacker`].

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek as _};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;

use cooper_oci::compress::auto_decoder;
use cooper_oci::tar::{Budget, Reader};
use cooper_sys::fs::{self, OFlags};

use super::CopyError;
use super::error::Doing as _;
use super::source::Files;

/// Writes the members of a tar stream below a directory.
pub trait Unpacker: Sync {
    /// `archive` is decompressed; `dest` is the directory that no member may leave, with links resolved as if chrooted
    /// to it; `owner` replaces the owner of every member.
    fn unpack(
        &self,
        archive: &mut dyn Read,
        dest: BorrowedFd<'_>,
        owner: Option<(u32, u32)>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// A file that begins like an archive.
#[derive(Debug)]
pub(crate) struct Archive {
    file: File,
    path: Vec<u8>,
}

/// Looks whether the file at `path`, without links, begins with a tar header once it is decompressed.
pub(crate) fn detect(files: &Files, path: &[u8]) -> Result<Option<Archive>, CopyError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW;
    let file = fs::open_in_root(files.root(), OsStr::from_bytes(path), flags, 0).doing("open", path)?;
    let archive = Archive { file: File::from(file), path: path.to_vec() };
    // Whatever is wrong with the first bytes: then it is no archive, but a file.
    let is_archive = auto_decoder(&archive.file)
        .is_ok_and(|(_, decoded)| Reader::new(decoded, Budget::layer()).next().is_ok_and(|e| e.is_some()));
    Ok(is_archive.then_some(archive))
}

impl Archive {
    /// The tar stream from its beginning.
    pub fn stream(&self) -> Result<Box<dyn Read + '_>, CopyError> {
        let mut file = &self.file;
        file.rewind()
            .and_then(|()| auto_decoder(file))
            .map(|(_, decoded)| decoded)
            .map_err(|e| cooper_sys::Error::at("read", OsStr::from_bytes(&self.path), e))
            .doing("read", &self.path)
    }
}
