//! The one error type of a build: what went wrong, whose fault it is, where in the Dockerfile, and what to do.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use cooper_frontend::ast::Span;

/// Who can mend it; the command line turns it into an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The Dockerfile, the context or a flag is wrong, or a command failed.
    User,
    /// This machine's set-up: permissions, missing programs, store.
    Config,
    /// A registry or another server.
    Remote,
    /// A registry has no such thing, or hides it.
    Absent,
    /// Cooper itself.
    Internal,
    /// The user stopped it.
    Cancelled,
}

/// The Dockerfile that an error's span points into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileText {
    /// Name to print, such as `Dockerfile`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A failed build or store operation.
#[derive(Debug, Clone)]
pub struct BuildError(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: Kind,
    message: String,
    span: Option<Span>,
    hint: Option<String>,
    dockerfile: Option<Arc<DockerfileText>>,
    step: Option<usize>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl BuildError {
    /// An error of the given kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        BuildError(Box::new(Inner {
            kind,
            message: message.into(),
            span: None,
            hint: None,
            dockerfile: None,
            step: None,
            source: None,
        }))
    }

    /// An error in what the user wrote.
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(Kind::User, message)
    }

    /// The user pressed Ctrl-C, or another step failed first.
    pub fn cancelled() -> Self {
        Self::new(Kind::Cancelled, "the build was cancelled")
    }

    /// Adds a cause, whose own message and sources are printed after this one's.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Adds the causes of another error whose own message this one repeats.
    #[must_use]
    pub fn caused_by_sources_of(mut self, other: impl std::error::Error) -> Self {
        let mut source = other.source();
        while let Some(cause) = source {
            let _ = write!(self.0.message, ": {cause}");
            source = cause.source();
        }
        self
    }

    /// The same, as somebody else's fault.
    #[must_use]
    pub(crate) fn of_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Adds the place in the Dockerfile, unless a more exact one is known.
    #[must_use]
    pub fn at(mut self, span: Option<Span>) -> Self {
        self.0.span = self.0.span.or(span);
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the Dockerfile's text for the excerpt.
    #[must_use]
    pub fn in_dockerfile(mut self, dockerfile: &Arc<DockerfileText>) -> Self {
        self.0.dockerfile.get_or_insert_with(|| dockerfile.clone());
        self
    }

    /// Adds the step that failed, as numbered in the events.
    #[must_use]
    pub fn in_step(mut self, step: usize) -> Self {
        self.0.step.get_or_insert(step);
        self
    }

    /// Who can mend it.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Place in the Dockerfile.
    pub fn span(&self) -> Option<Span> {
        self.0.span
    }

    /// What to do about it.
    pub fn advice(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The Dockerfile that the span points into.
    pub fn dockerfile(&self) -> Option<&DockerfileText> {
        self.0.dockerfile.as_deref()
    }

    /// The failed step's number.
    pub fn step(&self) -> Option<usize> {
        self.0.step
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}

impl From<cooper_snapshotter::Error> for BuildError {
    fn from(e: cooper_snapshotter::Error) -> Self {
        BuildError::new(Kind::Config, "the store could not be used").caused_by(e)
    }
}

impl From<cooper_sys::Error> for BuildError {
    fn from(e: cooper_sys::Error) -> Self {
        BuildError::new(Kind::Config, "a system call failed").caused_by(e)
    }
}

impl From<cooper_registry_client::Error> for BuildError {
    fn from(e: cooper_registry_client::Error) -> Self {
        BuildError::new(Kind::Remote, "the registry could not be used").caused_by(e)
    }
}
