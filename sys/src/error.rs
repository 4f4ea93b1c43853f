//! The one error of this crate: which call failed, on what, and why.

use std::io;
use std::path::Path;

/// A failed kernel operation.
#[derive(Debug, thiserror::Error)]
#[error("{op} {object}: {source}")]
pub struct Error {
    /// The operation, as a system call or short verb ("openat2", "mount overlay").
    pub op: &'static str,
    /// What it was done to: a path or a name, as shown to a person.
    pub object: String,
    /// The cause.
    #[source]
    pub source: io::Error,
}

/// Result of a kernel operation.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error from its three parts.
    pub fn new(op: &'static str, object: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self { op, object: object.into(), source: source.into() }
    }

    /// An error about a path.
    pub fn at(op: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        Self::new(op, path.as_ref().display().to_string(), source)
    }

    /// The raw errno, or 0 when the error did not come from the kernel.
    pub fn errno(&self) -> i32 {
        self.source.raw_os_error().unwrap_or(0)
    }

    /// The kind of the cause.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// True when the object does not exist (ENOENT).
    pub fn is_not_found(&self) -> bool {
        self.errno() == libc::ENOENT
    }

    /// True when the object exists already (EEXIST).
    pub fn is_exists(&self) -> bool {
        self.errno() == libc::EEXIST
    }

    /// True when kernel or filesystem lack the feature (ENOSYS, EOPNOTSUPP).
    pub fn is_unsupported(&self) -> bool {
        matches!(self.errno(), libc::ENOSYS | libc::EOPNOTSUPP)
    }

    /// True when permission was refused (EPERM, EACCES).
    pub fn is_denied(&self) -> bool {
        matches!(self.errno(), libc::EPERM | libc::EACCES)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = error.source.kind();
        Self::new(kind, error)
    }
}

/// Adds the operation and the object to a raw result.
pub(crate) trait Context<T> {
    /// With a path as the object.
    fn at(self, op: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn at(self, op: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|e| Error::at(op, path, e))
    }
}
