//! The client and its settings.
//!
//! A client is cheap to clone: clones share connections, tokens and limits. Its operations are in the
//! modules of their subjects (`manifest`, `pull`, `push`, `tags`).

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use cooper_oci::Digest;
use reqwest::{Certificate, Method};
use tokio::sync::Semaphore;

use crate::auth::{Authenticator, Credential, Credentials, Scopes};
use crate::call::{Call, Inner};
use crate::cancel::Cancel;
use crate::circuit::Circuits;
use crate::endpoint::base_url;
use crate::error::{Error, Result, Target};
use crate::hosts::{Hosts, Trust};
use crate::journal::Journal;
use crate::limits::Limits;
use crate::notice::{NoticeObserver, Notices};
use crate::progress::{Direction, Observer, Progress};
use crate::reach::NetworkPolicy;
use crate::retry::{Pacer, RetryPolicy, Sleeper, TokioSleeper};
use crate::transport::Transport;
use crate::uploads::Uploads;

/// A client for any number of registries.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    pub(crate) observer: Option<Observer>,
    pub(crate) cancel: Option<Cancel>,
}

/// Settings of a [`Client`].
pub struct ClientBuilder {
    credentials: Credentials,
    user_agent: String,
    insecure: Vec<String>,
    unverified: Vec<String>,
    sockets: BTreeMap<String, PathBuf>,
    hosts: Hosts,
    notices: Option<NoticeObserver>,
    journal: Option<PathBuf>,
    trusted_services: Vec<String>,
    allow_plaintext: bool,
    network: NetworkPolicy,
    roots: Vec<Certificate>,
    limits: Limits,
    policy: RetryPolicy,
    sleeper: Arc<dyn Sleeper>,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            credentials: Credentials::anonymous(),
            user_agent: concat!("cooper/", env!("CARGO_PKG_VERSION")).to_owned(),
            insecure: Vec::new(),
            unverified: Vec::new(),
            sockets: BTreeMap::new(),
            hosts: Hosts::none(),
            notices: None,
            journal: None,
            trusted_services: Vec::new(),
            allow_plaintext: false,
            network: NetworkPolicy::default(),
            roots: Vec::new(),
            limits: Limits::default(),
            policy: RetryPolicy::default(),
            sleeper: Arc::new(TokioSleeper),
        }
    }
}

impl ClientBuilder {
    /// Where credentials come from; nowhere by default.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Adds one credential that wins over all others for its registry.
    pub fn credential(mut self, registry: &str, credential: Credential) -> Self {
        self.credentials = self.credentials.with(registry, credential);
        self
    }

    /// The `User-Agent` header; `cooper/<version>` by default.
    pub fn user_agent(mut self, text: impl Into<String>) -> Self {
        self.user_agent = text.into();
        self
    }

    /// Where registries are: mirrors, certificates; by default each is where its name says.
    ///
    /// ```no_run
    /// use cooper_registry_client::{Client, Credentials, Hosts};
    ///
    /// let client = Client::builder()
    ///     .credentials(Credentials::from_environment())
    ///     .hosts(Hosts::from_environment())
    ///     .build();
    /// ```
    pub fn hosts(mut self, hosts: Hosts) -> Self {
        self.hosts = hosts;
        self
    }

    /// Told of what is worth knowing while an operation goes on.
    pub fn on_notice(mut self, observer: NoticeObserver) -> Self {
        self.notices = Some(observer);
        self
    }

    /// Keeps notes of unfinished uploads in a directory, which is made if need be. Blobs of 32 MiB and more are
    /// then sent in chunks, and where a push was killed, or given up because of the network, a later one of the
    /// same blob asks the registry how much it has and sends the rest. (Some registries lose what they have of a
    /// chunk that broke off, and with it the upload; there the push begins again.)
    pub fn journal(mut self, dir: impl Into<PathBuf>) -> Self {
        self.journal = Some(dir.into());
        self
    }

    /// Reaches a registry (`host[:port]`) by a socket file, with plain HTTP.
    pub fn unix_socket(mut self, registry: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.sockets.insert(registry.into(), path.into());
        self
    }

    /// Takes any certificate of a host (`host[:port]`). It holds for nothing else: a token service, a mirror and what
    /// a registry redirects to need exceptions of their own.
    pub fn skip_verify(mut self, registry: impl Into<String>) -> Self {
        self.unverified.push(registry.into());
        self
    }

    /// Uses plain HTTP for a registry (`host[:port]`). Loopback addresses need this not: they are asked whether
    /// they speak TLS. So is a registry that is listed here and in [`ClientBuilder::skip_verify`].
    pub fn insecure(mut self, registry: impl Into<String>) -> Self {
        self.insecure.push(registry.into());
        self
    }

    /// Lets credentials cross a network in clear to the registries named by
    /// [`ClientBuilder::insecure`].
    pub fn allow_plaintext_credentials(mut self, allow: bool) -> Self {
        self.allow_plaintext = allow;
        self
    }

    /// Where the answers of registries may lead us: to token services, redirects, addresses of uploads.
    pub fn network_policy(mut self, policy: NetworkPolicy) -> Self {
        self.network = policy;
        self
    }

    /// Trusts a token service's host with credentials though it is on another site than its registry.
    pub fn trust_token_service(mut self, host: impl Into<String>) -> Self {
        self.trusted_services.push(host.into());
        self
    }

    /// Adds authorities to the system's, from PEM text.
    pub fn root_certificates_pem(mut self, pem: &[u8]) -> Result<Self> {
        let certificates = Certificate::from_pem_bundle(pem)
            .map_err(|e| Error::http(&Target::default(), "certificates cannot be read", e))?;
        self.roots.extend(certificates);
        Ok(self)
    }

    /// Bounds of sizes, times and parallelism.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How often to try again.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// What waits between tries.
    pub fn sleeper(mut self, sleeper: Arc<dyn Sleeper>) -> Self {
        self.sleeper = sleeper;
        self
    }

    /// The client. Opens no connection yet.
    pub fn build(self) -> Client {
        let transport = Transport::new(self.user_agent, self.roots, self.limits.clone(), self.network);
        for url in self.unverified.iter().filter_map(|host| base_url(host, false)) {
            let trust = Trust { skip_verify: true, ..Trust::default() };
            transport.pool.adopt(&url.origin().ascii_serialization(), &trust, None);
        }
        let inner = Inner {
            transport,
            authenticator: Authenticator::new(self.credentials, self.trusted_services, self.allow_plaintext),
            ahead: Arc::new(Semaphore::new(self.limits.ranges.saturating_sub(1))),
            limits: self.limits,
            policy: self.policy,
            sleeper: self.sleeper,
            pacer: Pacer::default(),
            insecure: self.insecure,
            unverified: self.unverified,
            sockets: self.sockets,
            hosts: self.hosts,
            greeted: Mutex::default(),
            notices: Notices::new(self.notices),
            journal: Journal::new(self.journal),
            unchunked: Mutex::default(),
            circuits: Circuits::default(),
            slots: Mutex::default(),
            questions: Mutex::default(),
            pushes: Mutex::default(),
            uploads: Uploads::default(),
        };
        Client { inner: Arc::new(inner), observer: None, cancel: None }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// Begins the settings of a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The same client, telling `observer` about its transfers.
    pub fn with_observer(&self, observer: Observer) -> Self {
        Self { observer: Some(observer), ..self.clone() }
    }

    /// Tells `observer` of what is worth knowing, for this client and all its clones, unless somebody is told
    /// already.
    pub fn observe_notices(&self, observer: NoticeObserver) {
        self.inner.notices.observe(observer);
    }

    /// The same client, stopped by `cancel`.
    pub fn with_cancel(&self, cancel: Cancel) -> Self {
        Self { cancel: Some(cancel), ..self.clone() }
    }

    /// Asks a registry whether it lets us in at all.
    pub async fn ping(&self, registry: &str) -> Result<()> {
        let target = Target { registry: registry.to_owned(), ..Target::default() };
        let work = async {
            let endpoint = self.endpoint(registry).await?;
            let call = Call::new(&endpoint, &target, Scopes::none(), Method::GET, endpoint.api(""));
            self.inner.call(&call).await
        };
        let reply = self.unless_cancelled(&target, work).await?;
        if reply.response.status().is_success() {
            return Ok(());
        }
        Err(self.inner.refuse(&target, reply).await)
    }

    pub(crate) fn observe(&self, direction: Direction, digest: &Digest, done: u64, total: u64) {
        if let Some(observer) = &self.observer {
            observer(&Progress { direction, digest: digest.clone(), done_bytes: done, total_bytes: total });
        }
    }

    /// Runs `work` unless and until the client is cancelled.
    pub(crate) async fn unless_cancelled<T>(
        &self,
        target: &Target,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let cancelled = async {
            match &self.cancel {
                Some(cancel) => cancel.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.inner.uploads.stop.cancelled() => Err(Error::Cancelled { target: target.boxed() }),
            () = cancelled => Err(Error::Cancelled { target: target.boxed() }),
            result = work => result,
        }
    }
}
