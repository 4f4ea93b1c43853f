//! Answers challenges.
//!
//! Owns what is known of each origin (its kind of challenge) and the token cache, keyed by origin,
//! realm, service, scopes and account. Locks: two maps under short std mutexes; each token's slot has
//! an async mutex that is held while it is fetched, so that equal needs make one request.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cooper_oci::Digest;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::challenge::{self, Challenge};
use super::credentials::{Credential, Credentials};
use super::scope::Scopes;
use super::token::{self, Held, Token, TokenRequest};
use super::trust;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result, Target};
use crate::limits::Limits;
use crate::retry::{Attempts, RetryPolicy, Sleeper};
use crate::transport::{Bound, Lane, Outgoing, Transport};

/// What a request needs to be allowed.
pub(crate) struct Need<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) target: &'a Target,
    pub(crate) scopes: &'a Scopes,
}

impl Need<'_> {
    /// A credential for the registry is for its origin only.
    fn bind(&self, header: HeaderValue) -> Bound {
        Bound { origin: self.endpoint.base.origin(), header }
    }
}

/// A header, and where it came from.
#[derive(Clone)]
pub(crate) struct Authorization {
    pub(crate) bound: Bound,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Basic,
    Static,
    Token { anonymous: bool, since: Instant },
}

/// What a 401 taught us.
pub(crate) enum Learned {
    /// Try again with this.
    Retry(Authorization),
    /// There is nothing more to try; why.
    GiveUp(String),
}

#[derive(Clone)]
enum Known {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TokenKey {
    origin: String,
    realm: String,
    service: Option<String>,
    scopes: Scopes,
    account: Option<Digest>,
}

type Slot = Arc<tokio::sync::Mutex<Held>>;

/// Settings of one client's authentication.
pub(crate) struct Authenticator {
    pub(crate) credentials: Credentials,
    pub(crate) trusted_services: Vec<String>,
    pub(crate) allow_plaintext: bool,
    known: Mutex<HashMap<String, Known>>,
    tokens: Mutex<HashMap<TokenKey, Slot>>,
    /// Origins whose root was asked for its challenge.
    pinged: Mutex<HashSet<String>>,
}

/// What authentication borrows from the client.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) limits: &'a Limits,
    pub(crate) policy: &'a RetryPolicy,
    pub(crate) sleeper: &'a dyn Sleeper,
}

impl Authenticator {
    pub(crate) fn new(
        credentials: Credentials,
        trusted_services: Vec<String>,
        allow_plaintext: bool,
    ) -> Self {
        Self {
            credentials,
            trusted_services,
            allow_plaintext,
            known: Mutex::default(),
            tokens: Mutex::default(),
            pinged: Mutex::default(),
        }
    }

    /// The header to send at once, if an earlier challenge of this origin is known.
    pub(crate) async fn authorize(&self, means: Means<'_>, need: &Need<'_>) -> Result<Option<Authorization>> {
        let known = {
            let map = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            map.get(&need.endpoint.origin()).cloned()
        };
        match known {
            None => Ok(None),
            Some(Known::Basic) => self.basic(need).await,
            Some(Known::Bearer { realm, service }) => {
                self.bearer(means, need, &realm, service, need.scopes.clone(), None).await.map(Some)
            }
        }
    }

    /// Answers the challenge of a 401 that `used` (if anything) did not satisfy.
    pub(crate) async fn learn(
        &self,
        means: Means<'_>,
        need: &Need<'_>,
        headers: &HeaderMap,
        used: Option<&Authorization>,
    ) -> Result<Learned> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok());
        let origin = need.endpoint.origin();
        let chosen = match challenge::choose(texts) {
            // Some registries say how to log in at the root of their API only.
            None if used.is_none() && !headers.contains_key(WWW_AUTHENTICATE) => self.ping(means, need).await,
            chosen => chosen,
        };
        match chosen {
            Some(Challenge::Bearer(bearer)) => {
                if used.is_some_and(|u| matches!(u.source, Source::Static)) {
                    return Ok(Learned::GiveUp("the registry refused the stored token".into()));
                }
                let known = Known::Bearer { realm: bearer.realm.clone(), service: bearer.service.clone() };
                self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(origin, known);
                let scopes = need.scopes.clone().union(&bearer.scopes);
                let got = self.bearer(means, need, &bearer.realm, bearer.service, scopes, used).await?;
                Ok(Learned::Retry(got))
            }
            Some(Challenge::Basic) | None if used.is_some() => {
                Ok(Learned::GiveUp("the registry refused the stored credentials".into()))
            }
            // Some proxies answer 401 without any challenge: a password is worth one try.
            Some(Challenge::Basic) | None => match self.basic(need).await? {
                Some(authorization) => {
                    self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(origin, Known::Basic);
                    Ok(Learned::Retry(authorization))
                }
                None => Ok(Learned::GiveUp("no credentials for this registry".into())),
            },
        }
    }

    /// The challenge of the registry's root, asked for once.
    async fn ping(&self, means: Means<'_>, need: &Need<'_>) -> Option<Challenge> {
        let new = {
            let mut pinged = self.pinged.lock().unwrap_or_else(PoisonError::into_inner);
            pinged.insert(need.endpoint.origin())
        };
        if !new {
            return None;
        }
        let outgoing = Outgoing {
            home: need.endpoint.base.clone(),
            method: Method::GET,
            url: need.endpoint.api(""),
            headers: need.endpoint.headers.clone(),
            authorization: None,
            body: None,
            lane: Lane::Api,
        };
        let reply = means.transport.send(need.target, outgoing, None).await.ok()?;
        let answer = reply.response;
        if answer.status() != StatusCode::UNAUTHORIZED || reply.foreign {
            return None;
        }
        challenge::choose(answer.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok()))
    }

    async fn credential(&self, need: &Need<'_>) -> Result<Option<Credential>> {
        let found = self.credentials.lookup(&need.endpoint.registry, &need.endpoint.repository).await?;
        if found.is_some() && need.endpoint.exposes_credentials() && !self.allow_plaintext {
            return Err(Error::Plaintext { target: need.target.boxed() });
        }
        Ok(found)
    }

    fn is_implied(&self, need: &Need<'_>, credential: Option<&Credential>) -> bool {
        credential.is_some_and(|credential| self.credentials.is_implied(&need.endpoint.registry, credential))
    }

    /// Whether the registry itself may be shown a credential, and there is one.
    pub(crate) async fn has_credential(&self, need: &Need<'_>) -> bool {
        let found = self.credential(need).await;
        matches!(found, Ok(Some(Credential::Basic { .. } | Credential::RegistryToken(_))))
    }

    async fn basic(&self, need: &Need<'_>) -> Result<Option<Authorization>> {
        let (header, source) = match self.credential(need).await? {
            Some(Credential::Basic { username, password }) => {
                (token::basic_header(need.target, &username, &password)?, Source::Basic)
            }
            Some(Credential::RegistryToken(secret)) => {
                (token::bearer_header(need.target, &secret)?, Source::Static)
            }
            // A refresh token is not for the registry.
            Some(Credential::IdentityToken { .. }) | None => return Ok(None),
        };
        Ok(Some(Authorization { bound: need.bind(header), source }))
    }

    async fn bearer(
        &self,
        means: Means<'_>,
        need: &Need<'_>,
        realm: &str,
        service: Option<String>,
        scopes: Scopes,
        refused: Option<&Authorization>,
    ) -> Result<Authorization> {
        let credential = self.credential(need).await?;
        if let Some(Credential::RegistryToken(secret)) = &credential {
            let header = token::bearer_header(need.target, secret)?;
            return Ok(Authorization { bound: need.bind(header), source: Source::Static });
        }
        let base: &Url = &need.endpoint.base;
        let url =
            trust::judge(base, realm, credential.is_some(), &self.trusted_services).map_err(|reason| {
                // Without its query, and printable: the text is the server's.
                let shown = crate::error::printable(realm.split(['?', '#']).next().unwrap_or_default());
                Error::UntrustedTokenService { target: need.target.boxed(), realm: shown, reason }
            })?;
        let key = TokenKey {
            origin: need.endpoint.origin(),
            realm: realm.to_owned(),
            service,
            scopes,
            account: credential.as_ref().map(account),
        };
        let slot = {
            let mut map = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            map.entry(key.clone()).or_default().clone()
        };
        let source = |token: &Token| Source::Token { anonymous: credential.is_none(), since: token.since };
        let mut held = slot.lock().await;
        let request = TokenRequest {
            target: need.target,
            home: base,
            realm: &url,
            service: key.service.as_deref(),
            scopes: &key.scopes,
            credential: credential.as_ref(),
        };
        if let Some(token) = held.token() {
            let header = token::bearer_header(need.target, &token.secret)?;
            // Unless it is the very token that was just refused, it is good.
            if refused.is_none_or(|r| r.bound.header != header) {
                return Ok(Authorization { bound: need.bind(header), source: source(token) });
            }
            held.refused();
        }
        let attempts = || Attempts::new(means.policy, means.sleeper);
        let token = match token::fetch(means.transport, means.limits, attempts(), &request).await {
            // What nobody chose must not keep from what is open to all.
            Err(Error::Auth { .. })
                if self.is_implied(need, credential.as_ref()) && need.scopes.only_pull() =>
            {
                let request = TokenRequest { credential: None, ..request };
                Box::pin(token::fetch(means.transport, means.limits, attempts(), &request)).await?
            }
            fetched => fetched?,
        };
        let header = token::bearer_header(need.target, &token.secret)?;
        let source = source(&token);
        held.put(token);
        Ok(Authorization { bound: need.bind(header), source })
    }
}

impl Authorization {
    /// How long ago it was had; what does not expire is always new.
    pub(crate) fn age(&self) -> Duration {
        match self.source {
            Source::Token { since, .. } => since.elapsed(),
            Source::Basic | Source::Static => Duration::ZERO,
        }
    }

    /// Whether it is a token that a service gave.
    pub(crate) fn is_token(&self) -> bool {
        matches!(self.source, Source::Token { .. })
    }

    /// Whether it was made without any account.
    pub(crate) fn is_anonymous(&self) -> bool {
        matches!(self.source, Source::Token { anonymous: true, .. })
    }
}

/// Tells accounts apart without keeping their secrets in a map's key.
fn account(credential: &Credential) -> Digest {
    let (user, secret) = match credential {
        Credential::Basic { username, password } => (username.as_str(), password),
        Credential::IdentityToken { username, token } => (username.as_deref().unwrap_or_default(), token),
        Credential::RegistryToken(token) => ("", token),
    };
    Digest::sha256_of(format!("{user}\n{}", secret.expose()).as_bytes())
}
