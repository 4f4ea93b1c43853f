//! Images where they lie: in a registry, in the store, in an OCI layout or in an archive. Looks at them, compares them,
//! moves them between registries.
//!
//! Nothing here brings anything into the store; only [`Images::export`] unpacks there. [`Images`] works without a store
//! as long as no name asks for it.

mod artifact;
mod compress;
mod convey;
mod copy;
mod diff;
mod export;
mod index;
mod index_source;
mod layer;
mod layout;
mod look;
mod name;
mod packed;
mod packing;
mod repository;
mod tree;
mod watch;

pub use crate::layout::Pick;
pub use artifact::{Artifact, ArtifactFile, PulledFile};
pub use cooper_registry_client::{Copied, CopyOptions, NetworkPolicy};
pub use diff::{ConfigChange, Difference, FileChange, Side, SideLayer};
pub use index::{Annotation, AnnotationPlace, IndexRequest};
pub use index_source::IndexSource;
pub use look::{Document, Image};
pub use name::{ArchiveForm, ArchiveName, ImageName};
pub use repository::Deletion;
pub use tree::Node;
pub(crate) use watch::Board;
pub use watch::Watch;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use cooper_registry_client::{Client, ClientBuilder, Credentials, Error, ErrorKind, Hosts};

use crate::error::{BuildError, Kind};
use crate::layout::Shelf;
use crate::session::Session;
use crate::task;

/// How registries are spoken to.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Registries (`host[:port]`) that are spoken to in plain HTTP, as this machine's are anyway.
    pub plain_http: Vec<String>,
    /// Send credentials to those, for anybody on the way to read.
    pub plaintext_credentials: bool,
    /// Registries of which any certificate is taken; those in both lists may speak plain HTTP or TLS.
    pub skip_verify: Vec<String>,
    /// Where the answers of registries may lead.
    pub network: NetworkPolicy,
    /// Told of what is worth knowing (a registry's warnings, waits that it asks for) while no [`Watch`] is.
    pub on_notice: Option<fn(&str)>,
}

impl RegistryOptions {
    /// The settings of a client.
    pub(crate) fn builder(&self) -> ClientBuilder {
        let start = Client::builder()
            .hosts(Hosts::from_environment())
            .network_policy(self.network)
            .allow_plaintext_credentials(self.plaintext_credentials);
        let start = self.plain_http.iter().fold(start, ClientBuilder::insecure);
        self.skip_verify.iter().fold(start, ClientBuilder::skip_verify)
    }

    /// A client that knows the user's credentials, and tells `board` what it does. By the notes in `journal` it goes on
    /// with uploads that an earlier one left.
    pub(crate) fn client(&self, board: &Arc<Board>, journal: Option<PathBuf>) -> Client {
        let builder = self.builder().credentials(Credentials::from_environment());
        let builder = if let Some(journal) = journal { builder.journal(journal) } else { builder };
        let client = builder.build();
        client.observe_notices(board.notices(self.on_notice));
        client.with_observer(board.progress())
    }
}

/// Gives access to images by name.
#[derive(Clone)]
pub struct Images {
    client: Client,
    board: Arc<Board>,
    session: Option<Session>,
    /// Archives that were opened, by the names of images in them.
    archives: Arc<tokio::sync::Mutex<HashMap<String, Arc<Shelf>>>>,
}

impl Images {
    /// Speaks to registries as `options` say, and reads `session`'s store if there is one.
    pub fn new(options: &RegistryOptions, session: Option<Session>) -> Images {
        let board = Arc::default();
        Images { client: options.client(&board, None), board, session, archives: Arc::default() }
    }

    /// From now on tells `watch` about transfers.
    pub fn watched_by(&self, watch: &Arc<Watch>) -> &Images {
        self.board.show_to(watch);
        if let Some(session) = &self.session {
            session.watched_by(watch);
        }
        self
    }

    /// Ends all transfers, as [`Session::end_transfers`] does.
    pub async fn end_transfers(&self, unwanted: bool) {
        self.client.close(!unwanted).await;
        if let Some(session) = &self.session {
            session.end_transfers(unwanted).await;
        }
    }

    /// The layout or archive that a name leads to.
    async fn shelf(&self, name: &ImageName) -> Result<Arc<Shelf>, BuildError> {
        let archive = match name {
            ImageName::Layout { path, .. } => return Ok(Arc::new(Shelf::directory(path))),
            ImageName::Archive(archive) => archive.clone(),
            ImageName::Registry(_) | ImageName::Store(_) => {
                return Err(BuildError::new(Kind::Internal, format!("{name} is no layout")));
            }
        };
        let mut open = self.archives.lock().await;
        if let Some(shelf) = open.get(&name.to_string()) {
            return Ok(shelf.clone());
        }
        // A pipe may never give anything.
        let shelf = task::detached("open archive", move || match archive.form {
            ArchiveForm::Oci => Shelf::archive(&archive.path),
            ArchiveForm::Docker => Shelf::docker(&archive.path, &archive.pick),
        });
        let shelf = Arc::new(shelf.await?);
        open.insert(name.to_string(), shelf.clone());
        Ok(shelf)
    }

    fn session(&self) -> Result<&Session, BuildError> {
        self.session.as_ref().ok_or_else(|| BuildError::new(Kind::Internal, "the store is not open"))
    }
}

/// A registry's refusal: whose fault it is, and what to do about it.
pub(crate) fn refused(error: Error) -> BuildError {
    judged(error.to_string(), &error).caused_by_sources_of(error)
}

/// The same in words of one's own, without the cause.
pub(crate) fn judged(message: String, error: &Error) -> BuildError {
    let kind = match error.kind() {
        ErrorKind::NotFound => Kind::Absent,
        ErrorKind::Cancelled => Kind::Cancelled,
        ErrorKind::Local | ErrorKind::Config => Kind::Config,
        _ => Kind::Remote,
    };
    let judged = BuildError::new(kind, message);
    match if let Error::Mirrored { source, .. } = error { source } else { error } {
        Error::Plaintext { .. } => {
            judged.hint("login, pull, push and other commands take --plain-http-credentials")
        }
        Error::Status { answer, .. } if answer.status == 413 => judged.hint(
            "if the registry itself takes so much, a proxy before it does not (nginx: client_max_body_size)",
        ),
        Error::Auth { target, .. } => judged.hint(format!("`cooper login {}`", target.registry)),
        Error::Certificate { host, .. } => judged.hint(format!(
            "an authority of one's own goes into certs.d/{host}/ca.crt; login, pull, push and other commands take \
             --skip-verify={host}"
        )),
        _ => judged,
    }
}
