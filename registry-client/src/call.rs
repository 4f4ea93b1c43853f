//! The way every request takes.
//!
//! [`Inner::call`] answers challenges and tries again; operations say what they want in a [`Call`] and
//! get an answer that is not a passing failure. Only uploads, whose bodies are streams, send by
//! themselves. Locks: short std mutexes round maps; none is held while anything waits.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cooper_oci::Reference;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

use crate::auth::{Authenticator, Authorization, Learned, Means, Need, Scopes};
use crate::circuit::Circuits;
use crate::endpoint::Endpoint;
use crate::error::{Answer, Error, Result, Target};
use crate::hosts::Hosts;
use crate::journal::Journal;
use crate::limits::Limits;
use crate::notice::Notices;
use crate::retry::{Attempts, Failure, Pacer, RetryPolicy, Sleeper, retry_after};
use crate::transport::{Lane, Outgoing, Reply, Transport};
use crate::uploads::Uploads;

/// What clones of a client share.
pub(crate) struct Inner {
    pub(crate) transport: Transport,
    pub(crate) authenticator: Authenticator,
    pub(crate) limits: Limits,
    pub(crate) policy: RetryPolicy,
    pub(crate) sleeper: Arc<dyn Sleeper>,
    pub(crate) pacer: Pacer,
    /// Registries that are spoken to without TLS.
    pub(crate) insecure: Vec<String>,
    /// Registries whose certificates are not checked.
    pub(crate) unverified: Vec<String>,
    /// Registries that are reached by a socket file.
    pub(crate) sockets: BTreeMap<String, PathBuf>,
    pub(crate) hosts: Hosts,
    /// Whether hosts speak TLS, as far as it was asked.
    pub(crate) greeted: Mutex<HashMap<String, Arc<OnceCell<bool>>>>,
    pub(crate) notices: Notices,
    pub(crate) journal: Journal,
    /// Origins where an upload in chunks came to nothing.
    pub(crate) unchunked: Mutex<HashSet<String>>,
    pub(crate) circuits: Circuits,
    pub(crate) slots: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Room for questions about blobs, by origin.
    pub(crate) questions: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// Room for parts of blobs that come before their turn, of all blobs.
    pub(crate) ahead: Arc<Semaphore>,
    /// Held while a blob is pushed: a second push of it waits, and then finds it.
    pub(crate) pushes: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    pub(crate) uploads: Uploads,
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
    /// Whether a failure that may pass is told at once.
    pub(crate) once: bool,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        endpoint: &'a Endpoint,
        target: &'a Target,
        scopes: Scopes,
        method: Method,
        url: Url,
    ) -> Self {
        let (headers, body, lane, once) = (HeaderMap::new(), None, Lane::Api, false);
        Self { endpoint, target, scopes, method, url, headers, body, lane, once }
    }

    /// Whether it goes to the registry's own origin; an upload's address may be elsewhere.
    pub(crate) fn is_home(&self) -> bool {
        self.url.origin() == self.endpoint.base.origin()
    }

    /// Its headers, and those that the settings of its registry add.
    pub(crate) fn all_headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        if self.is_home() {
            headers.extend(self.endpoint.headers.clone());
        }
        headers
    }

    /// Sends `Content-Length: 0`, without which some servers refuse a POST or PUT.
    pub(crate) fn empty_body(&mut self) {
        self.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

/// What was refused so long after it was had may have been good when it was sent.
const STALE: Duration = Duration::from_secs(10);
/// How many such refusals one call answers.
const MOST_STALE: u32 = 3;

/// The 401s that one call answers: the first challenge, and the refusal of one fresh token.
#[derive(Default)]
pub(crate) struct Challenges {
    first: bool,
    refused: bool,
    stale: u32,
}

impl Challenges {
    /// Whether this one is to be answered; `shown` says how old what we had shown is.
    pub(crate) fn answer(&mut self, shown: Option<Duration>) -> bool {
        if shown.is_some_and(|age| age >= STALE) && self.stale < MOST_STALE {
            self.stale += 1;
            self.refused = true;
            return true;
        }
        let seen = if shown.is_some() { &mut self.refused } else { &mut self.first };
        !std::mem::replace(seen, true)
    }

    /// Whether there was none yet.
    fn is_new(&self) -> bool {
        !self.first && !self.refused
    }
}

impl Inner {
    /// The tries of something at an endpoint.
    pub(crate) fn attempts(&self, endpoint: &Endpoint) -> Attempts<'_> {
        Attempts::new(&self.policy, self.sleeper.as_ref()).at(endpoint, &self.circuits, &self.notices)
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

    /// As [`Self::call`], for what may be asked about any number of blobs at the same time.
    pub(crate) async fn question(&self, call: &Call<'_>) -> Result<Reply> {
        let room = {
            let mut rooms = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
            let make = || Arc::new(Semaphore::new(self.limits.questions.max(1)));
            rooms.entry(call.endpoint.origin()).or_insert_with(make).clone()
        };
        // Never closed.
        let _permit = room.acquire().await;
        self.call(call).await
    }

    /// The lock that makes pushes of one blob to one repository take turns.
    pub(crate) fn push_lock(&self, target: &Target) -> Arc<tokio::sync::Mutex<()>> {
        let mut pushes = self.pushes.lock().unwrap_or_else(PoisonError::into_inner);
        pushes.retain(|_, lock| Arc::strong_count(lock) > 1);
        pushes.entry(target.to_string()).or_default().clone()
    }

    /// The header for a request to the registry itself; none for another origin.
    pub(crate) async fn authorization(&self, call: &Call<'_>) -> Result<Option<Authorization>> {
        if !call.is_home() {
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

    /// Whether there is something to say to a registry that refuses without asking.
    async fn may_introduce(&self, call: &Call<'_>) -> bool {
        let need = Need { endpoint: call.endpoint, target: call.target, scopes: &call.scopes };
        self.authenticator.has_credential(&need).await
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
        // Boxed, as it is the largest part of every operation.
        Box::pin(self.tries(call)).await
    }

    async fn tries(&self, call: &Call<'_>) -> Result<Reply> {
        let mut attempts = self.attempts(call.endpoint);
        let mut challenges = Challenges::default();
        let mut learned: Option<Authorization> = None;
        loop {
            self.pace(call.endpoint).await;
            let authorization = match learned.take() {
                Some(authorization) => Some(authorization),
                None => self.authorization(call).await?,
            };
            let mut headers = call.all_headers();
            if let Some((media_type, _)) = &call.body {
                headers.insert(CONTENT_TYPE, media_type.clone());
            }
            let outgoing = Outgoing {
                home: call.endpoint.base.clone(),
                method: call.method.clone(),
                url: call.url.clone(),
                headers,
                authorization: authorization.as_ref().map(|a| a.bound.clone()),
                body: call.body.as_ref().map(|(_, bytes)| bytes.clone().into()),
                lane: call.lane,
            };
            let reply = match self.transport.send(call.target, outgoing, None).await {
                Ok(reply) => reply,
                Err(error) => match error.failure() {
                    Some(failure) if !call.once && attempts.again(&failure).await => continue,
                    _ => return Err(error.into()),
                },
            };
            let status = reply.response.status();
            let ours = !reply.foreign && call.is_home();
            // Some say 403 to who did not say who they are.
            let unasked = status == 403 && ours && authorization.is_none() && challenges.is_new();
            if status == 401 && ours || unasked && self.may_introduce(call).await {
                if !challenges.answer(authorization.as_ref().map(Authorization::age)) {
                    return Err(self.still_refused(call, reply, authorization.as_ref()).await);
                }
                let headers = reply.response.headers().clone();
                match self.learn(call, &headers, authorization.as_ref()).await? {
                    Learned::Retry(authorization) => learned = Some(authorization),
                    Learned::GiveUp(_) if unasked => return Err(self.refuse(call.target, reply).await),
                    Learned::GiveUp(why) => return Err(self.unauthorized(call.target, reply, why).await),
                }
                continue;
            }
            self.notices.warnings(&call.endpoint.registry, reply.response.headers());
            let Some(failure) = Failure::of_answer(status, reply.response.headers()) else {
                self.circuits.close(&call.endpoint.origin());
                return Ok(reply);
            };
            let error = self.refuse(call.target, reply).await;
            self.slow_down(call.endpoint, &failure);
            if call.once || !attempts.again(&failure).await {
                return Err(error);
            }
        }
    }

    /// Gets a document of at most `limit` bytes, with its headers; another answer than 200 is an error.
    pub(crate) async fn fetch(
        &self,
        call: &Call<'_>,
        what: &'static str,
        limit: u64,
    ) -> Result<(HeaderMap, Bytes)> {
        let mut attempts = self.attempts(call.endpoint);
        loop {
            let reply = self.call(call).await?;
            if reply.response.status() != StatusCode::OK {
                return Err(self.refuse(call.target, reply).await);
            }
            let headers = reply.response.headers().clone();
            match self.transport.body(call.target, reply.response, what, limit).await {
                Ok(bytes) => return Ok((headers, bytes)),
                Err(error) => match error.failure() {
                    Some(failure) if attempts.again(&failure).await => {}
                    _ => return Err(error.into()),
                },
            }
        }
    }

    /// Turns an answer that was not hoped for into an error.
    pub(crate) async fn refuse(&self, target: &Target, reply: Reply) -> Error {
        let status = reply.response.status().as_u16();
        if let Some(proxy) = self.transport.pool.proxy(reply.response.url()).filter(|_| status == 407) {
            return Error::Proxy { target: target.boxed(), what: proxy.wants_credentials() };
        }
        let retry_after = retry_after(reply.response.headers());
        let answer = Box::new(self.answer(target, reply).await);
        let target = target.boxed();
        match status {
            // A 401 that comes here was answered with a token that did not help.
            401 | 403 => Error::Denied { target, answer, scope: None },
            404 | 410 => Error::NotFound { target, answer },
            429 => Error::RateLimited { target, retry_after, answer },
            _ => Error::Status { target, answer },
        }
    }

    /// A 401 in spite of a fresh token.
    pub(crate) async fn still_refused(
        &self,
        call: &Call<'_>,
        reply: Reply,
        used: Option<&Authorization>,
    ) -> Error {
        if used.is_some_and(Authorization::is_anonymous) {
            let why = "not found, or not open without credentials".to_owned();
            return self.unauthorized(call.target, reply, why).await;
        }
        let mut error = self.refuse(call.target, reply).await;
        if let Error::Denied { scope, .. } = &mut error
            && used.is_some_and(Authorization::is_token)
        {
            *scope = Some(call.scopes.to_string()).filter(|scopes| !scopes.is_empty());
        }
        error
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_token_that_is_refused_ends_it_and_a_stale_one_does_not() {
        let (none, fresh, stale) = (None, Some(Duration::ZERO), Some(STALE));
        let answers = |shown: &[Option<Duration>]| -> Vec<bool> {
            let mut challenges = Challenges::default();
            shown.iter().map(|shown| challenges.answer(*shown)).collect()
        };
        assert_eq!(answers(&[none, none]), [true, false]);
        assert_eq!(answers(&[none, fresh, fresh]), [true, true, false]);
        assert_eq!(answers(&[stale, stale, fresh]), [true, true, false]);
        // A registry that always takes long to refuse is not asked for ever.
        assert_eq!(answers(&[stale; 4]), [true, true, true, false]);
    }
}
