//! Token services: asking for a token and reading what comes back.
//!
//! Owns both forms of the request (GET with the user's password, OAuth2 POST with a refresh token) and
//! the checks on the answer. A refresh token goes to the token service and nowhere else.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

use super::config_file::encode_auth;
use super::credentials::Credential;
use super::scope::Scopes;
use crate::error::{Answer, Error, Result, Target};
use crate::limits::Limits;
use crate::retry::{Attempts, Failure};
use crate::secret::Secret;
use crate::transport::{Bound, Lane, Outgoing, Reply, Transport};

const CLIENT_ID: &str = "cooper";
/// What the specification says a token lives at least.
const DEFAULT_LIFE: Duration = Duration::from_mins(1);
/// What is believed of a registry that refuses sooner.
const LEAST_LIFE: Duration = Duration::from_secs(20);
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// A token and how long to use it.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) secret: Secret,
    /// When it was asked for.
    pub(super) since: Instant,
    /// Counted from the request, by our clock; a tenth of its life is left as margin.
    pub(super) use_until: Instant,
}

/// The token of one need, and what was learnt of its kind.
#[derive(Debug, Default)]
pub(super) struct Held {
    token: Option<Token>,
    /// How old such a token was when it was refused, if that was before the end that it was said to have.
    life: Option<Duration>,
}

impl Held {
    /// The token, while it is good.
    pub(super) fn token(&self) -> Option<&Token> {
        self.token.as_ref().filter(|token| token.use_until > Instant::now())
    }

    /// Forgets a token that was refused. Later ones are renewed before they are so old, for a refusal costs what was
    /// sent with it; but not all the time, whatever a registry does.
    pub(super) fn refused(&mut self) {
        if let Some(token) = self.token.take() {
            let age = token.since.elapsed().max(LEAST_LIFE);
            self.life = Some(self.life.map_or(age, |life| life.min(age)));
        }
    }

    pub(super) fn put(&mut self, mut token: Token) {
        if let Some(life) = self.life {
            token.use_until = token.use_until.min(token.since + life * 9 / 10);
        }
        self.token = Some(token);
    }
}

/// What to ask for, and of whom.
pub(super) struct TokenRequest<'a> {
    pub(super) target: &'a Target,
    /// The registry's address.
    pub(super) home: &'a Url,
    pub(super) realm: &'a Url,
    pub(super) service: Option<&'a str>,
    pub(super) scopes: &'a Scopes,
    pub(super) credential: Option<&'a Credential>,
}

/// Asks the token service, trying again where a failure may pass.
pub(super) async fn fetch(
    transport: &Transport,
    limits: &Limits,
    mut attempts: Attempts<'_>,
    request: &TokenRequest<'_>,
) -> Result<Token> {
    let mut form = matches!(request.credential, Some(Credential::IdentityToken { .. }));
    loop {
        let started = Instant::now();
        let outgoing = if form { post(request)? } else { get(request)? };
        let sent = transport.send(request.target, outgoing, None).await;
        let failure = match sent {
            Ok(reply) if reply.response.status() == StatusCode::OK => {
                let body =
                    transport.body(request.target, reply.response, "token answer", limits.token_bytes).await;
                match body {
                    Ok(body) => return read(request.target, &body, started),
                    Err(e) => e.failure().ok_or_else(|| e.into()),
                }
            }
            Ok(reply) => {
                let status = reply.response.status();
                let passing = Failure::of_answer(status, reply.response.headers());
                // Services without OAuth2 say so in many ways; the password form may still do.
                if form && matches!(status.as_u16(), 400 | 401 | 404 | 405) && fallback(request).is_some() {
                    form = false;
                    continue;
                }
                let error = refused(transport, limits, request, reply).await;
                passing.ok_or(error)
            }
            Err(e) => match e.failure() {
                Some(failure) if attempts.again(&failure).await => continue,
                _ => return Err(e.into()),
            },
        };
        match failure {
            Ok(failure) if attempts.again(&failure).await => {}
            Ok(_) => {
                return Err(Error::stalled(request.target, "the token service does not answer"));
            }
            Err(error) => return Err(error),
        }
    }
}

async fn refused(transport: &Transport, limits: &Limits, request: &TokenRequest<'_>, reply: Reply) -> Error {
    let status = reply.response.status().as_u16();
    let body = transport.beginning(request.target, reply.response, limits.error_bytes).await;
    let answer = Answer::parse(status, &body);
    let host = request.realm.host_str().unwrap_or_default();
    let whose = if request.credential.is_some() { "the stored credentials" } else { "an anonymous request" };
    if matches!(status, 400 | 401 | 403) {
        return Error::Auth {
            target: request.target.boxed(),
            reason: format!("token service {host} refused {whose}: {answer}"),
        };
    }
    Error::Status { target: request.target.boxed(), answer: Box::new(answer) }
}

fn get(request: &TokenRequest<'_>) -> Result<Outgoing> {
    let mut url = request.realm.clone();
    let basic = match request.credential {
        Some(Credential::Basic { username, password }) => Some((username.as_str(), password)),
        Some(Credential::IdentityToken { .. }) => fallback(request),
        _ => None,
    };
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = request.service {
            query.append_pair("service", service);
        }
        for scope in request.scopes.iter() {
            query.append_pair("scope", &scope);
        }
        if let Some((username, _)) = basic {
            query.append_pair("account", username);
        }
    }
    let authorization = match basic {
        Some((username, password)) => {
            let header = basic_header(request.target, username, password)?;
            Some(Bound { origin: request.realm.origin(), header })
        }
        None => None,
    };
    Ok(Outgoing {
        home: request.home.clone(),
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        authorization,
        body: None,
        lane: Lane::Api,
    })
}

/// A refresh token as a password, for services that have only the older form.
fn fallback<'a>(request: &TokenRequest<'a>) -> Option<(&'a str, &'a Secret)> {
    match request.credential {
        Some(Credential::IdentityToken { username: Some(username), token }) => Some((username, token)),
        _ => None,
    }
}

fn post(request: &TokenRequest<'_>) -> Result<Outgoing> {
    let Some(Credential::IdentityToken { token, .. }) = request.credential else {
        return get(request);
    };
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token").append_pair("client_id", CLIENT_ID);
    if let Some(service) = request.service {
        form.append_pair("service", service);
    }
    let scopes = request.scopes.to_string();
    if !scopes.is_empty() {
        form.append_pair("scope", &scopes);
    }
    form.append_pair("refresh_token", token.expose());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    Ok(Outgoing {
        home: request.home.clone(),
        method: Method::POST,
        url: request.realm.clone(),
        headers,
        authorization: None,
        body: Some(form.finish().into()),
        lane: Lane::Api,
    })
}

/// `Basic` with a user name and password.
pub(super) fn basic_header(target: &Target, username: &str, password: &Secret) -> Result<HeaderValue> {
    header(target, format!("Basic {}", encode_auth(username, password)))
}

/// `Bearer` with a token.
pub(super) fn bearer_header(target: &Target, token: &Secret) -> Result<HeaderValue> {
    header(target, format!("Bearer {}", token.expose()))
}

fn header(target: &Target, text: String) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Error::Auth { target: target.boxed(), reason: "credential is not printable".into() })?;
    value.set_sensitive(true);
    Ok(value)
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<serde_json::Value>,
}

fn read(target: &Target, body: &[u8], started: Instant) -> Result<Token> {
    let wrong = |what: &str| Error::protocol(target, format!("token service: {what}"));
    let answer: TokenAnswer = serde_json::from_slice(body).map_err(|_| wrong("answer is not a token"))?;
    let text = [answer.token, answer.access_token].into_iter().flatten().find(|t| !t.is_empty());
    let text = text.ok_or_else(|| wrong("answer has no token"))?;
    // Anything else could break out of the header.
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(wrong("token has characters that no token has"));
    }
    let life = life(answer.expires_in.as_ref());
    Ok(Token { secret: Secret::new(text), since: started, use_until: started + life * 9 / 10 })
}

fn life(expires_in: Option<&serde_json::Value>) -> Duration {
    let seconds = match expires_in {
        Some(serde_json::Value::Number(n)) => n.as_f64(),
        Some(serde_json::Value::String(s)) => s.parse().ok(),
        _ => None,
    };
    match seconds {
        Some(s) if s > 0.0 => Duration::try_from_secs_f64(s).unwrap_or(LONGEST_LIFE).min(LONGEST_LIFE),
        _ => DEFAULT_LIFE,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn tokens_are_renewed_before_the_age_at_which_one_was_refused() {
        let now = Instant::now();
        let token = |age| Token {
            secret: Secret::new("a".to_owned()),
            since: now.checked_sub(Duration::from_secs(age)).unwrap(),
            use_until: now + Duration::from_hours(1),
        };
        let mut held = Held::default();
        assert!(held.token().is_none());
        held.put(token(100));
        assert!(held.token().is_some());
        held.refused();
        assert!(held.token().is_none());
        for (age, good) in [(0, true), (80, true), (95, false)] {
            held.put(token(age));
            assert_eq!(held.token().is_some(), good, "{age}");
        }
        // Not even one that is refused at once is asked for with each request.
        held.put(token(0));
        held.refused();
        held.put(token(10));
        assert!(held.token().is_some());
    }

    #[test]
    fn r008_tokens_are_read_and_checked() {
        let now = Instant::now();
        let token = |body: &str| read(&Target::default(), body.as_bytes(), now);
        assert_eq!(token(r#"{"token":"a"}"#).unwrap().secret.expose(), "a");
        assert_eq!(token(r#"{"access_token":"b","token":""}"#).unwrap().secret.expose(), "b");
        for bad in [r"{}", "[]", "", r#"{"token":"a b"}"#, r#"{"token":"a\r\nX: y"}"#, r#"{"token":"é"}"#] {
            assert!(token(bad).is_err(), "{bad}");
        }
        assert!(!token(r#"{"token":"hunter 2"}"#).unwrap_err().to_string().contains("hunter"));
        let until = |expires: &str| {
            token(&format!(r#"{{"token":"a","expires_in":{expires}}}"#)).unwrap().use_until - now
        };
        assert_eq!(until("300"), Duration::from_secs(270));
        assert_eq!(until("\"300\""), Duration::from_secs(270));
        for default in ["0", "-5", "null", "\"x\"", "[]"] {
            assert_eq!(until(default), Duration::from_secs(54), "{default}");
        }
        assert_eq!(until("1e18"), LONGEST_LIFE * 9 / 10);
    }
}
