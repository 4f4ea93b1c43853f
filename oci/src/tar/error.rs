//! Why an archive cannot be read.

use std::io;

/// Why an archive cannot be read. Offsets are bytes from the archive's start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// The reader underneath failed.
    #[error("cannot read archive")]
    Io(#[source] io::Error),
    /// The archive ends within a member.
    #[error("archive is truncated at byte {offset}")]
    Truncated {
        /// Where it ends.
        offset: u64,
    },
    /// The archive breaks the format.
    #[error("malformed archive near byte {offset}: {what}")]
    Malformed {
        /// Behind the last byte that was read.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A member of a type that has no place in a file tree.
    #[error("archive member `{path}` has the unsupported type {flag:?}")]
    Unsupported {
        /// Name of the member.
        path: String,
        /// Its type flag.
        flag: char,
    },
    /// A limit of the [`Budget`](super::Budget) is reached.
    #[error("archive exceeds the limit of {limit} {what}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// Reading went on after an error.
    #[error("archive was given up after an earlier error")]
    GivenUp,
}

impl From<TarError> for io::Error {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Io(error) => error,
            TarError::Truncated { .. } => Self::new(io::ErrorKind::UnexpectedEof, error),
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}
