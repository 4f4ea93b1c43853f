//! A part of a file: a blob where it lies.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// A blob in a file, or a whole file.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    file: Arc<File>,
    start: u64,
    size_bytes: u64,
}

impl Window {
    /// A part of a file.
    pub(crate) fn new(file: Arc<File>, start: u64, size_bytes: u64) -> Window {
        Window { file, start, size_bytes }
    }

    /// A whole file, as large as it is now.
    pub(crate) fn whole(file: File) -> io::Result<Window> {
        let size_bytes = file.metadata()?.len();
        Ok(Window::new(Arc::new(file), 0, size_bytes))
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Reads it from an offset on. Any number of readers do not disturb one another.
    pub(crate) fn reader(&self, offset: u64) -> WindowReader {
        WindowReader { window: self.clone(), at: offset.min(self.size_bytes) }
    }

    /// All of it, if that is no more than allowed.
    pub(crate) fn bytes(&self, max_bytes: u64) -> io::Result<Vec<u8>> {
        if self.size_bytes > max_bytes {
            return Err(io::Error::other("larger than its descriptor says"));
        }
        let mut bytes = Vec::new();
        self.reader(0).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Reads a [`Window`].
#[derive(Debug)]
pub(crate) struct WindowReader {
    window: Window,
    at: u64,
}

impl Read for WindowReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.window.size_bytes - self.at).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let got = self.window.file.read_at(&mut buffer[..wanted], self.window.start + self.at)?;
        if got == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
        }
        self.at += got as u64;
        Ok(got)
    }
}
