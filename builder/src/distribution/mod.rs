//! Images where they lie: in a registry, in the store, or in an OCI layout. Looks at them, compares them, moves them
//! between registries.
//!
//! Nothing here brings anything into the store; only [`Images::export`] unpacks there. [`Images`] works without a store
//! as long as no name asks for it.

mod artifact;
mod copy;
mod diff;
mod export;
mod index;
mod layer;
mod look;
mod name;
mod repository;
mod tree;
mod watch;

pub use artifact::{Artifact, ArtifactFile, PulledFile};
pub use cooper_registry_client::{Copied, CopyOptions};
pub use diff::{ConfigChange, Difference, FileChange, Side, SideLayer};
pub use index::{Annotation, AnnotationPlace, IndexRequest};
pub use look::{Document, Image};
pub use name::ImageName;
pub use repository::Deletion;
pub use tree::Node;
pub use watch::Watch;

use std::path::PathBuf;

use cooper_registry_client::{Client, ClientBuilder, Credentials, Error, ErrorKind, Hosts};

use crate::error::{BuildError, Kind};
use crate::session::Session;

/// How registries are spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryOptions {
    /// Registries (`host[:port]`) that are spoken to in plain HTTP, as this machine's are anyway.
    pub plain_http: Vec<String>,
    /// Send credentials to those, for anybody on the way to read.
    pub plaintext_credentials: bool,
    /// Registries of which any certificate is taken; those in both lists may speak plain HTTP or TLS.
    pub skip_verify: Vec<String>,
}

impl RegistryOptions {
    /// The settings of a client.
    pub(crate) fn builder(&self) -> ClientBuilder {
        let start = Client::builder()
            .hosts(Hosts::from_environment())
            .allow_plaintext_credentials(self.plaintext_credentials);
        let start = self.plain_http.iter().fold(start, ClientBuilder::insecure);
        self.skip_verify.iter().fold(start, ClientBuilder::skip_verify)
    }

    /// A client that also goes on with uploads that an earlier one left, by the notes in `journal`.
    pub(crate) fn client_with_journal(&self, journal: PathBuf) -> Client {
        self.builder().credentials(Credentials::from_environment()).journal(journal).build()
    }

    /// A client that knows the user's credentials.
    pub(crate) fn client(&self) -> Client {
        self.builder().credentials(Credentials::from_environment()).build()
    }
}

/// Gives access to images by name.
#[derive(Clone)]
pub struct Images {
    client: Client,
    session: Option<Session>,
}

impl Images {
    /// Speaks to registries as `options` say, and reads `session`'s store if there is one.
    pub fn new(options: &RegistryOptions, session: Option<Session>) -> Images {
        Images { client: options.client(), session }
    }

    /// The same, telling `watch` about its transfers.
    #[must_use]
    pub fn watched_by(&self, watch: &std::sync::Arc<Watch>) -> Images {
        self.client.observe_notices(watch.notices());
        Images { client: self.client.with_observer(watch.observer()), ..self.clone() }
    }

    fn session(&self) -> Result<&Session, BuildError> {
        self.session.as_ref().ok_or_else(|| BuildError::new(Kind::Internal, "the store is not open"))
    }
}

/// A registry's refusal: whose fault it is, and what to do about it.
pub(crate) fn refused(error: Error) -> BuildError {
    let kind = match error.kind() {
        ErrorKind::NotFound => Kind::Absent,
        ErrorKind::Cancelled => Kind::Cancelled,
        ErrorKind::Local | ErrorKind::Config => Kind::Config,
        _ => Kind::Remote,
    };
    let failed = BuildError::new(kind, error.to_string());
    let at_last = if let Error::Mirrored { source, .. } = &error { source } else { &error };
    let failed = match at_last {
        Error::Auth { target, .. } => failed.hint(format!("`cooper login {}`", target.registry)),
        _ => failed,
    };
    failed.caused_by_sources_of(error)
}
