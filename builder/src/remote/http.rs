//! HTTP downloads: TLS, redirects, conditions and limits.
//!
//! Every download of ADD and of contexts leaves through [`Http::get`]. It owns the rule that a credential never follows
//! to another origin: `Authorization` is dropped at the first change of scheme, host or port and does not come back.
//! Bodies are not decoded. TLS is rustls with ring and the system's roots; proxies come from our own environment, never
//! from the build, and never for loopback addresses.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Response, StatusCode};
use tokio::time::Instant;
use url::{Host, Url};

const USER_AGENT: &str = concat!("cooper/", env!("CARGO_PKG_VERSION"));
const MAX_REDIRECTS: usize = 10;

/// Limits of one download.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Bytes of the body.
    pub max_bytes: u64,
    /// Time to the head of an answer.
    pub answer: Duration,
    /// Time between two parts of a body.
    pub idle: Duration,
    /// Time for the whole.
    pub total: Duration,
}

impl Budget {
    /// Generous for honest servers; it stops endless bodies and drips.
    pub fn download() -> Budget {
        Budget {
            max_bytes: 64 << 30,
            answer: Duration::from_mins(1),
            idle: Duration::from_mins(1),
            total: Duration::from_hours(6),
        }
    }
}

/// Why a download failed. The URL is told by the caller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The client could not be set up.
    #[error("cannot set up TLS: {0}")]
    Setup(String),
    /// No connection, or it broke.
    #[error("{what}")]
    Connection {
        /// What happened.
        what: &'static str,
        /// Why. Without its URL, which may hold a credential.
        #[source]
        source: reqwest::Error,
    },
    /// Nothing came for too long.
    #[error("{0}")]
    Slow(&'static str),
    /// The server refused.
    #[error("invalid response status {0}")]
    Status(u16),
    /// The body is larger than the budget.
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
    /// A redirect that is not followed.
    #[error("{0}")]
    Redirect(String),
}

impl HttpError {
    fn connection(error: reqwest::Error) -> HttpError {
        let what = if error.is_connect() {
            "cannot connect"
        } else if error.is_body() || error.is_decode() {
            "the transfer broke off"
        } else {
            "the request failed"
        };
        HttpError::Connection { what, source: error.without_url() }
    }

    /// Whether the same request may succeed in a while.
    pub fn may_pass(&self) -> bool {
        match self {
            HttpError::Connection { .. } | HttpError::Slow(_) => true,
            HttpError::Status(status) => matches!(status, 408 | 425 | 429 | 500 | 502..=504),
            _ => false,
        }
    }
}

/// A GET before redirects.
#[derive(Debug, Clone)]
pub struct Get {
    /// Where; without user name and password.
    pub url: Url,
    /// For the origin of `url` only.
    pub authorization: Option<HeaderValue>,
    /// Sent to every hop: conditions.
    pub headers: HeaderMap,
}

/// An answer with a status of 2xx or 304.
#[derive(Debug)]
pub struct Answer {
    response: Response,
    /// As the head said: the response itself counts down.
    length: Option<u64>,
    budget: Budget,
    deadline: Instant,
    read_bytes: u64,
}

/// The connections of one process: TLS, plain, plain without proxy. Made when first used, because reading the system's
/// certificates takes a while.
#[derive(Debug, Default)]
pub struct Http([OnceLock<Result<Client, String>>; 3]);

impl Http {
    fn client(&self, url: &Url) -> Result<&Client, HttpError> {
        let index = match url.scheme() {
            "https" => 0,
            _ if url.host().is_some_and(|h| is_loopback(&h)) => 2,
            _ => 1,
        };
        let slot = &self.0[index];
        slot.get_or_init(|| build(index)).as_ref().map_err(|e| HttpError::Setup(e.clone()))
    }

    /// Sends a request and follows its redirects.
    pub async fn get(&self, get: &Get, budget: Budget) -> Result<Answer, HttpError> {
        let deadline = Instant::now() + budget.total;
        let mut url = get.url.clone();
        let mut authorization = get.authorization.as_ref();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.client(&url)?.get(url.clone()).headers(get.headers.clone());
            if let Some(header) = authorization {
                request = request.header(AUTHORIZATION, header.clone());
            }
            let response = tokio::time::timeout(budget.answer, request.send())
                .await
                .map_err(|_| HttpError::Slow("no answer in time"))?
                .map_err(HttpError::connection)?;
            let status = response.status();
            match status.as_u16() {
                301..=303 | 307 | 308 => {}
                304 | 200..=299 => {
                    let length = response.content_length();
                    return Ok(Answer { response, length, budget, deadline, read_bytes: 0 });
                }
                refused => return Err(HttpError::Status(refused)),
            }
            let next = redirect_target(&get.url, &url, response.headers()).map_err(HttpError::Redirect)?;
            if next.origin() != url.origin() {
                authorization = None;
            }
            url = next;
        }
        Err(HttpError::Redirect(format!("more than {MAX_REDIRECTS} redirects")))
    }
}

impl Answer {
    /// Nothing changed, by the conditions of the request.
    pub fn is_unchanged(&self) -> bool {
        self.response.status() == StatusCode::NOT_MODIFIED
    }

    /// A part of the body, as a range was asked for.
    pub fn is_part(&self) -> bool {
        self.response.status() == StatusCode::PARTIAL_CONTENT
    }

    /// A header, if it is text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Bytes of the body, if the server says so.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next part of the body, `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        if self.length().is_some_and(|length| length > self.budget.max_bytes) {
            return Err(HttpError::TooLarge(self.budget.max_bytes));
        }
        let end = self.deadline.min(Instant::now() + self.budget.idle);
        let chunk = tokio::time::timeout_at(end, self.response.chunk())
            .await
            .map_err(|_| HttpError::Slow("the transfer stalled"))?
            .map_err(HttpError::connection)?;
        self.read_bytes += chunk.as_ref().map_or(0, |c| c.len() as u64);
        if self.read_bytes > self.budget.max_bytes {
            return Err(HttpError::TooLarge(self.budget.max_bytes));
        }
        Ok(chunk)
    }
}

fn build(index: usize) -> Result<Client, String> {
    // Fails if a provider is installed already, which then serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(30))
        .referer(false)
        .http1_only()
        .retry(reqwest::retry::never());
    let builder = match index {
        0 => builder,
        1 => builder.tls_certs_only([]),
        _ => builder.tls_certs_only([]).no_proxy(),
    };
    builder
        .build()
        .map_err(|e| std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string))
}

/// The next hop: at least as safe as the one before, and not from the world into this machine.
fn redirect_target(start: &Url, from: &Url, headers: &HeaderMap) -> Result<Url, String> {
    let no_url = || "redirect to something that is no URL".to_owned();
    let location =
        headers.get(LOCATION).and_then(|v| v.to_str().ok()).ok_or("redirect without a location")?;
    let next = from.join(location).map_err(|_| no_url())?;
    match next.scheme() {
        "https" => {}
        "http" if from.scheme() == "http" => {}
        "http" => return Err("redirect from https to http refused".into()),
        other => return Err(format!("redirect to {other} refused")),
    }
    let host = next.host().ok_or_else(no_url)?;
    if !next.username().is_empty() || next.password().is_some() {
        return Err("redirect with a user name refused".into());
    }
    if is_inward(&host) && !start.host().is_some_and(|h| is_inward(&h)) {
        return Err("redirect to this machine refused".into());
    }
    Ok(next)
}

fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.as_ref().trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => {
            address.to_ipv4_mapped().map_or(*address == Ipv6Addr::LOCALHOST, |v4| v4.is_loopback())
        }
    }
}

/// Loopback, link-local (where clouds keep their credentials) and unspecified addresses.
fn is_inward<S: AsRef<str>>(host: &Host<S>) -> bool {
    let v4 = |a: &Ipv4Addr| a.is_loopback() || a.is_link_local() || a.is_unspecified();
    match host {
        Host::Domain(_) => is_loopback(host),
        Host::Ipv4(address) => v4(address),
        Host::Ipv6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => v4(&mapped),
            None => address.is_loopback() || address.is_unspecified() || address.is_unicast_link_local(),
        },
    }
}

#[cfg(test)]
mod tests;
