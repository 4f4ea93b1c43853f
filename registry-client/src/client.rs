//! The client: its settings, and the way every request takes.
//!
//! [`Inner::call`] is the only loop that answers challenges and tries again; operations say what they
//! want in a [`Call`] and get an answer that is not a passing failure. Cheap to clone: clones share
//! connections, tokens and limits.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cooper_oci::{Digest, Reference};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Certificate, Method};
use tokio::sync::Semaphore;
use url::Url;

use crate::auth::{Authenticator, Authorization, Credential, Credentials, Learned, Means, Need, Scopes};
use crate::cancel::Cancel;
use crate::endpoint::Endpoint;
use crate::error::{Answer, Error, Result, Target};
use crate::limits::Limits;
use crate::progress::{Direction, Observer, Progress};
use crate::retry::{Attempts, Failure, Pacer, RetryPolicy, Sleeper, TokioSleeper, retry_after};
use crate::transport::{Lane, Outgoing, Reply, Transport};

/// A client for any number of registries.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    pub(crate) observer: Option<Observer>,
    pub(crate) cancel: Option<Cancel>,
}

/// What clones of a client share.
pub(crate) struct Inner {
    pub(crate) transport: Transport,
    pub(crate) authenticator: Authenticator,
    pub(crate) limits: Limits,
    pub(crate) policy: RetryPolicy,
    pub(crate) sleeper: Arc<dyn Sleeper>,
    pacer: Pacer,
    insecure: Vec<String>,
    slots: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Held while a blob is pushed: a second push of it waits, and then finds it.
    pushes: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// Settings of a [`Client`].
pub struct ClientBuilder {
    credentials: Credentials,
    user_agent: String,
    insecure: Vec<String>,
    trusted_services: Vec<String>,
    allow_plaintext: bool,
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
            trusted_services: Vec::new(),
            allow_plaintext: false,
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

    /// Uses plain HTTP for a registry (`host[:port]`), as is done for loopback addresses anyway.
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
        let inner = Inner {
            transport: Transport::new(self.user_agent, self.roots, self.limits.clone()),
            authenticator: Authenticator::new(self.credentials, self.trusted_services, self.allow_plaintext),
            limits: self.limits,
            policy: self.policy,
            sleeper: self.sleeper,
            pacer: Pacer::default(),
            insecure: self.insecure,
            slots: Mutex::default(),
            pushes: Mutex::default(),
        };
        Client { inner: Arc::new(inner), observer: None, cancel: None }
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

    /// The same client, stopped by `cancel`.
    pub fn with_cancel(&self, cancel: Cancel) -> Self {
        Self { cancel: Some(cancel), ..self.clone() }
    }

    /// Asks a registry whether it lets us in at all.
    pub async fn ping(&self, registry: &str) -> Result<()> {
        let endpoint = self.endpoint(registry)?;
        let target = Target { registry: registry.to_owned(), ..Target::default() };
        let call = Call::new(&endpoint, &target, Scopes::none(), Method::GET, endpoint.url(""));
        let reply = self.unless_cancelled(&target, self.inner.call(&call)).await?;
        if reply.response.status().is_success() {
            return Ok(());
        }
        Err(self.inner.refuse(&target, reply).await)
    }

    pub(crate) fn endpoint(&self, registry: &str) -> Result<Endpoint> {
        Endpoint::new(registry, &self.inner.insecure)
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
        let Some(cancel) = &self.cancel else { return work.await };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::Cancelled { target: target.boxed() }),
            result = work => result,
        }
    }
}

/// One request as an operation sees it.
pub(crate) struct Call<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) target: &'a Target,
    pub(crate) scopes: Scopes,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// Media type and bytes.
    pub(crate) body: Option<(HeaderValue, Bytes)>,
    pub(crate) lane: Lane,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        endpoint: &'a Endpoint,
        target: &'a Target,
        scopes: Scopes,
        method: Method,
        url: Url,
    ) -> Self {
        Self { endpoint, target, scopes, method, url, headers: HeaderMap::new(), body: None, lane: Lane::Api }
    }

    /// Sends `Content-Length: 0`, without which some servers refuse a POST or PUT.
    pub(crate) fn empty_body(&mut self) {
        self.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

/// How often a 401 is answered within one call: once for the first challenge, once for a token that
/// was refused.
pub(crate) const MAX_CHALLENGES: u32 = 2;

impl Inner {
    pub(crate) fn attempts(&self) -> Attempts<'_> {
        Attempts::new(&self.policy, self.sleeper.as_ref())
    }

    fn means(&self) -> Means<'_> {
        Means {
            transport: &self.transport,
            limits: &self.limits,
            policy: &self.policy,
            sleeper: self.sleeper.as_ref(),
        }
    }

    /// Room for one more blob transfer with this registry.
    pub(crate) fn slot(&self, endpoint: &Endpoint) -> Arc<Semaphore> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Semaphore::new(self.limits.transfers.max(1)));
        slots.entry(endpoint.origin()).or_insert_with(make).clone()
    }

    /// The lock that makes pushes of one blob to one repository take turns.
    pub(crate) fn push_lock(&self, target: &Target) -> Arc<tokio::sync::Mutex<()>> {
        let mut pushes = self.pushes.lock().unwrap_or_else(PoisonError::into_inner);
        pushes.retain(|_, lock| Arc::strong_count(lock) > 1);
        pushes.entry(target.to_string()).or_default().clone()
    }

    /// The header for a request to the registry itself; none for another origin.
    pub(crate) async fn authorization(&self, call: &Call<'_>) -> Result<Option<Authorization>> {
        if call.url.origin() != call.endpoint.base.origin() {
            return Ok(None);
        }
        let need = Need { endpoint: call.endpoint, target: call.target, scopes: &call.scopes };
        self.authenticator.authorize(self.means(), &need).await
    }

    /// What to do about a 401.
    pub(crate) async fn learn(
        &self,
        call: &Call<'_>,
        headers: &HeaderMap,
        used: Option<&Authorization>,
    ) -> Result<Learned> {
        let need = Need { endpoint: call.endpoint, target: call.target, scopes: &call.scopes };
        self.authenticator.learn(self.means(), &need, headers, used).await
    }

    /// Waits if the registry asked all of us to.
    pub(crate) async fn pace(&self, endpoint: &Endpoint) {
        self.pacer.wait(&endpoint.origin(), &self.sleeper).await;
    }

    pub(crate) fn slow_down(&self, endpoint: &Endpoint, failure: &Failure) {
        if let Some(pause) = failure.retry_after.filter(|p| *p <= self.policy.longest_retry_after) {
            self.pacer.slow_down(&endpoint.origin(), pause);
        }
    }

    /// Sends a request until there is an answer that trying again would not change.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Reply> {
        let mut attempts = self.attempts();
        let mut challenges = 0;
        let mut learned: Option<Authorization> = None;
        loop {
            self.pace(call.endpoint).await;
            let authorization = match learned.take() {
                Some(authorization) => Some(authorization),
                None => self.authorization(call).await?,
            };
            let mut headers = call.headers.clone();
            if let Some((media_type, _)) = &call.body {
                headers.insert(CONTENT_TYPE, media_type.clone());
            }
            let outgoing = Outgoing {
                method: call.method.clone(),
                url: call.url.clone(),
                headers,
                authorization: authorization.as_ref().map(|a| a.header.clone()),
                body: call.body.as_ref().map(|(_, bytes)| bytes.clone().into()),
                lane: call.lane,
            };
            let reply = match self.transport.send(call.target, outgoing, None).await {
                Ok(reply) => reply,
                Err(error) => match error.failure() {
                    Some(failure) if attempts.again(&failure).await => continue,
                    _ => return Err(error.into()),
                },
            };
            let status = reply.response.status();
            if status == 401 && !reply.foreign {
                if challenges == MAX_CHALLENGES {
                    return Err(self.still_refused(call.target, reply, authorization.as_ref()).await);
                }
                challenges += 1;
                let headers = reply.response.headers().clone();
                match self.learn(call, &headers, authorization.as_ref()).await? {
                    Learned::Retry(authorization) => learned = Some(authorization),
                    Learned::GiveUp(why) => return Err(self.unauthorized(call.target, reply, why).await),
                }
                continue;
            }
            let Some(failure) = Failure::of_answer(status, reply.response.headers()) else {
                return Ok(reply);
            };
            let error = self.refuse(call.target, reply).await;
            self.slow_down(call.endpoint, &failure);
            if !attempts.again(&failure).await {
                return Err(error);
            }
        }
    }

    /// Turns an answer that was not hoped for into an error.
    pub(crate) async fn refuse(&self, target: &Target, reply: Reply) -> Error {
        let status = reply.response.status().as_u16();
        let retry_after = retry_after(reply.response.headers());
        let answer = Box::new(self.answer(target, reply).await);
        let target = target.boxed();
        match status {
            // A 401 that comes here was answered with a token that did not help.
            401 | 403 => Error::Denied { target, answer },
            404 | 410 => Error::NotFound { target, answer },
            429 => Error::RateLimited { target, retry_after, answer },
            _ => Error::Status { target, answer },
        }
    }

    /// A 401 in spite of a fresh token.
    pub(crate) async fn still_refused(
        &self,
        target: &Target,
        reply: Reply,
        used: Option<&Authorization>,
    ) -> Error {
        if used.is_some_and(Authorization::is_anonymous) {
            let why = "not found, or not open without credentials".to_owned();
            return self.unauthorized(target, reply, why).await;
        }
        self.refuse(target, reply).await
    }

    pub(crate) async fn unauthorized(&self, target: &Target, reply: Reply, why: String) -> Error {
        let answer = self.answer(target, reply).await;
        Error::Auth { target: target.boxed(), reason: format!("{why} ({answer})") }
    }

    async fn answer(&self, target: &Target, reply: Reply) -> Answer {
        let status = reply.response.status().as_u16();
        let body = self.transport.beginning(target, reply.response, self.limits.error_bytes).await;
        Answer::parse(status, &body)
    }
}

/// The target of an operation on a reference.
pub(crate) fn target_of(reference: &Reference, object: impl ToString) -> Target {
    Target {
        registry: reference.registry.clone(),
        repository: reference.repository.clone(),
        object: object.to_string(),
    }
}
