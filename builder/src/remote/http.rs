//! HTTP downloads: TLS, redirects, conditions and limits.
//!
//! Every download of ADD and of contexts leaves through [`Http::get`]. It owns the rule that a credential never follows
//! to another origin: `Authorization` is dropped at the first change of scheme, host or port and does not come back.
//! Bodies are not decoded. What is connected to, and how, is [`Web`]'s matter: certificates, proxies (of our own
//! environment, never the build's), and the network policy.

use std::time::Duration;

use bytes::Bytes;
use cooper_registry_client::{NetworkPolicy, Web};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Response, StatusCode};
use tokio::time::Instant;
use url::Url;

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
    /// Nothing is connected to there: because of the network policy, a certificate, or settings that cannot be used.
    #[error("{0}")]
    Refused(String),
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
    fn connection(web: &Web, error: reqwest::Error) -> HttpError {
        web.refusal(&error).map_or_else(|| Self::broken(error), HttpError::Refused)
    }

    fn broken(error: reqwest::Error) -> HttpError {
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

/// The connections of one process.
#[derive(Debug)]
pub struct Http(Web);

impl Http {
    /// Opens no connection yet.
    pub fn new(policy: NetworkPolicy) -> Http {
        Http(Web::new(USER_AGENT, Duration::from_secs(30), policy))
    }

    /// Judges a host that another program will connect to.
    pub async fn judge(&self, host: &str) -> Result<(), HttpError> {
        self.0.judge(host).await.map_err(HttpError::Refused)
    }

    /// Sends a request and follows its redirects.
    pub async fn get(&self, get: &Get, budget: Budget) -> Result<Answer, HttpError> {
        let deadline = Instant::now() + budget.total;
        let mut url = get.url.clone();
        let mut authorization = get.authorization.as_ref();
        let mut journey = self.0.begin(&url);
        for _ in 0..=MAX_REDIRECTS {
            let client = self.0.client(&journey, &url).map_err(HttpError::Refused)?;
            let mut request = client.get(url.clone()).headers(get.headers.clone());
            if let Some(header) = authorization {
                request = request.header(AUTHORIZATION, header.clone());
            }
            let response = tokio::time::timeout(budget.answer, request.send())
                .await
                .map_err(|_| HttpError::Slow("no answer in time"))?
                .map_err(|e| HttpError::connection(&self.0, e))?;
            self.0.met(&mut journey, &response);
            let status = response.status();
            match status.as_u16() {
                301..=303 | 307 | 308 => {}
                304 | 200..=299 => {
                    let length = response.content_length();
                    return Ok(Answer { response, length, budget, deadline, read_bytes: 0 });
                }
                refused => return Err(HttpError::Status(refused)),
            }
            let next = redirect_target(&url, response.headers()).map_err(HttpError::Redirect)?;
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
            .map_err(HttpError::broken)?;
        self.read_bytes += chunk.as_ref().map_or(0, |c| c.len() as u64);
        if self.read_bytes > self.budget.max_bytes {
            return Err(HttpError::TooLarge(self.budget.max_bytes));
        }
        Ok(chunk)
    }
}

/// The next hop: at least as safe as the one before. Where it leads is judged when it is connected to.
fn redirect_target(from: &Url, headers: &HeaderMap) -> Result<Url, String> {
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
    next.host().ok_or_else(no_url)?;
    if !next.username().is_empty() || next.password().is_some() {
        return Err("redirect with a user name refused".into());
    }
    Ok(next)
}

#[cfg(test)]
mod tests;
