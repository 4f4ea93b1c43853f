//! Why files could not be selected or copied. Paths are those of the source or of the image, never of the host.

use std::fmt;

/// A failed COPY or ADD.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// A source without wildcards names nothing.
    #[error("{path:?}: not found")]
    NotFound {
        /// The path in the source, with a leading slash.
        path: String,
        /// What the user may have meant, or why the file is not to be seen.
        hint: Option<String>,
    },
    /// A pattern is not well formed.
    #[error("syntax error in pattern {pattern:?}")]
    BadPattern {
        /// The pattern, as written.
        pattern: String,
    },
    /// A symbolic link leads to itself.
    #[error("too many symbolic links in {path:?}")]
    LinkLoop {
        /// The path that was being resolved.
        path: String,
    },
    /// A file would replace a directory.
    #[error("cannot replace to directory {path} with file")]
    FileOverDirectory {
        /// The directory in the image.
        path: String,
    },
    /// A directory would replace something else, be it a link to a directory.
    #[error("cannot copy to non-directory: {path}")]
    DirectoryOverFile {
        /// The file in the image.
        path: String,
    },
    /// A part of the destination's path is no directory.
    #[error("{path}: not a directory")]
    NotADirectory {
        /// That part.
        path: String,
    },
    /// A source file was changed while the build read it.
    #[error("{path:?} was changed while it was being copied")]
    Changed {
        /// The file in the source.
        path: String,
    },
    /// `--chmod` is neither octal nor a known symbolic form.
    #[error("invalid chmod parameter: {text:?}")]
    BadMode {
        /// As written.
        text: String,
    },
    /// `--chown` cannot be resolved.
    #[error("invalid chown parameter {spec:?}: {reason}")]
    BadOwner {
        /// As written.
        spec: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Links and nodes cannot keep an owner that the user namespace lacks: they hold no note of it.
    #[error("{path} cannot belong to {uid}:{gid}: this user has no such subordinate ids")]
    OwnerLost {
        /// The file in the image.
        path: String,
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// An archive is damaged, or one of its members is refused.
    #[error("cannot unpack {path:?}")]
    Unpack {
        /// The archive in the source.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The build was stopped.
    #[error("cancelled")]
    Cancelled,
    /// The system refused an operation.
    #[error("cannot {action} {path}")]
    System {
        /// A verb, such as `read`.
        action: &'static str,
        /// The file, in the source or in the image.
        path: String,
        /// The failed call.
        #[source]
        source: cooper_sys::Error,
    },
}

impl CopyError {
    /// What to do about it, for people.
    pub fn hint(&self) -> Option<&str> {
        match self {
            CopyError::NotFound { hint, .. } => hint.as_deref(),
            CopyError::OwnerLost { .. } => {
                Some("choose an owner with --chown, or give the user more ids in /etc/subuid and /etc/subgid")
            }
            _ => None,
        }
    }
}

/// Adds what was done, and to which path of the tree, to a failed system call.
pub(crate) trait Doing<T> {
    /// `action` is a verb; `path` is turned into text only on failure.
    fn doing(self, action: &'static str, path: impl AsRef<[u8]>) -> Result<T, CopyError>;
}

impl<T> Doing<T> for cooper_sys::Result<T> {
    fn doing(self, action: &'static str, path: impl AsRef<[u8]>) -> Result<T, CopyError> {
        self.map_err(|source| CopyError::System { action, path: rooted(path.as_ref()), source })
    }
}

/// A path below a root as people read it: with a leading slash.
pub(crate) fn rooted(path: &[u8]) -> String {
    Rooted(path).to_string()
}

struct Rooted<'a>(&'a [u8]);

impl fmt::Display for Rooted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(self.0);
        if text.starts_with('/') { f.write_str(&text) } else { write!(f, "/{text}") }
    }
}
