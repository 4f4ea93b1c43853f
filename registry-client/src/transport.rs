//! HTTP: requests, redirects and time limits.
//!
//! Every request of this crate leaves through [`Transport::send`]. It owns the rule that
//! a credential never follows to another origin: `Authorization` is dropped at the first change of scheme, host or
//! port and does not come back. What an answer leads to is reached within the limits of `reach` only.
//! Bodies are never decoded. Connections are the matter of `pool`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, Method, Response};
use url::{Origin, Url};

use crate::causes::causes;
use crate::certificate;
use crate::error::{Error, Result, Target};
use crate::limits::Limits;
pub(crate) use crate::pool::Lane;
use crate::pool::Pool;
use crate::proxy::{Proxy, Refusal};
use crate::reach::{NetworkPolicy, Range, Ranges, Refused};
use crate::redirect;
use crate::retry::Failure;
use crate::sent::Rest;
pub(crate) use crate::sent::Sent;

const MAX_REDIRECTS: usize = 10;

/// A request before credentials and redirects.
pub(crate) struct Outgoing {
    /// The address of the place that the user named, on whose behalf it is sent.
    pub(crate) home: Url,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) authorization: Option<Bound>,
    pub(crate) body: Option<reqwest::Body>,
    pub(crate) lane: Lane,
}

/// A credential, and the only origin that it may be sent to.
#[derive(Clone)]
pub(crate) struct Bound {
    pub(crate) origin: Origin,
    pub(crate) header: HeaderValue,
}

/// The response at the end of any redirects.
pub(crate) struct Reply {
    pub(crate) response: Response,
    /// Whether it comes from another origin than was asked.
    pub(crate) foreign: bool,
    /// If it came before the request's body was sent: closes the connection when it is dropped.
    pub(crate) early: Option<Rest>,
}

/// The way of all requests of one client.
pub(crate) struct Transport {
    pub(crate) pool: Pool,
    limits: Limits,
    /// Who answered last, of each origin that the user named.
    peers: Mutex<HashMap<String, IpAddr>>,
}

impl Transport {
    pub(crate) fn new(
        user_agent: String,
        roots: Vec<Certificate>,
        limits: Limits,
        policy: NetworkPolicy,
    ) -> Self {
        let pool = Pool::new(user_agent, roots, limits.connect_timeout, policy);
        Self { pool, limits, peers: Mutex::default() }
    }

    /// Notes where an answer came from.
    fn met(&self, url: &Url, response: &Response) {
        if self.pool.proxy(url).is_some() {
            return;
        }
        if let Some(peer) = response.remote_addr() {
            let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
            peers.insert(url.origin().ascii_serialization(), peer.ip());
        }
    }

    /// What the answers of a place that the user named may lead to.
    fn reach(&self, home: &Url) -> Ranges {
        let usual = self.pool.policy.ranges();
        let peer = || {
            let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
            peers.get(&home.origin().ascii_serialization()).map(|peer| Range::of(*peer))
        };
        self.pool.range(home).or_else(peer).map_or(usual, |range| usual.and(range))
    }

    /// Sends a request and follows its redirects. `sent` watches the body of an upload, which has no
    /// limit on its whole time, and of which nothing more is sent once it is answered.
    pub(crate) async fn send(
        &self,
        target: &Target,
        outgoing: Outgoing,
        sent: Option<&Arc<Sent>>,
    ) -> Result<Reply, SendError> {
        let Outgoing { home, method, mut url, headers, mut authorization, mut body, lane } = outgoing;
        let mut foreign = false;
        for _ in 0..=MAX_REDIRECTS {
            let named = url.origin() == home.origin();
            let reach = if named { None } else { Some(self.reach(&home)) };
            let client = self.pool.client(target, &url, lane, reach)?;
            let mut request = client.request(method.clone(), url.clone()).headers(headers.clone());
            if let Some(bound) = authorization.as_ref().filter(|bound| bound.origin == url.origin()) {
                request = request.header(AUTHORIZATION, bound.header.clone());
            }
            let bodiless = body.is_none();
            if let Some(body) = body.take() {
                request = request.body(body);
            }
            let work = async {
                let answer = request.send().await;
                answer.map_err(|e| SendError::http(target, e, self.pool.proxy(&url)))
            };
            let response = self.in_time(target, work, sent).await?;
            let early = sent.filter(|sent| !sent.is_whole()).map(Sent::hold);
            if named {
                self.met(&url, &response);
            }
            let redirect = match response.status().as_u16() {
                301..=303 => method == Method::GET || method == Method::HEAD,
                307 | 308 => bodiless,
                _ => false,
            };
            if !redirect {
                return Ok(Reply { response, foreign, early });
            }
            let next = redirect::target(&url, response.headers())
                .map_err(|what| SendError::Final(Error::protocol(target, what)))?;
            if next.origin() != url.origin() {
                foreign = true;
                authorization = None;
            }
            url = next;
        }
        Err(SendError::Final(Error::protocol(target, "too many redirects")))
    }

    async fn in_time(
        &self,
        target: &Target,
        work: impl Future<Output = Result<Response, SendError>>,
        sent: Option<&Arc<Sent>>,
    ) -> Result<Response, SendError> {
        tokio::pin!(work);
        let Some(sent) = sent else {
            return match tokio::time::timeout(self.limits.answer_timeout, work).await {
                Ok(result) => result,
                Err(_) => Err(SendError::stalled(target, "no answer in time")),
            };
        };
        let mut before = sent.count();
        let mut quiet = Duration::ZERO;
        let step = (self.limits.idle_timeout / 4).max(Duration::from_millis(10));
        loop {
            if let Ok(result) = tokio::time::timeout(step, &mut work).await {
                return result;
            }
            let now = sent.count();
            quiet = if now == before { quiet + step } else { Duration::ZERO };
            before = now;
            // Registries hash a large blob before they answer.
            let patience =
                if sent.is_whole() { self.limits.commit_timeout } else { self.limits.idle_timeout };
            if quiet >= patience {
                return Err(SendError::stalled(target, "upload stalled"));
            }
        }
    }

    /// The next part of a body, `None` at its end.
    pub(crate) async fn chunk(
        &self,
        target: &Target,
        response: &mut Response,
    ) -> Result<Option<Bytes>, SendError> {
        match tokio::time::timeout(self.limits.idle_timeout, response.chunk()).await {
            Ok(result) => result.map_err(|e| SendError::http(target, e, None)),
            Err(_) => Err(SendError::stalled(target, "transfer stalled")),
        }
    }

    /// The beginning of a body, as much as comes without trouble.
    pub(crate) async fn beginning(&self, target: &Target, mut response: Response, most: u64) -> Vec<u8> {
        let mut all = Vec::new();
        let work = async {
            while let Ok(Some(chunk)) = self.chunk(target, &mut response).await {
                all.extend_from_slice(&chunk);
                if all.len() as u64 >= most {
                    break;
                }
            }
        };
        // Late or broken, what came is shown.
        let _ = tokio::time::timeout(self.limits.answer_timeout, work).await;
        all
    }

    /// A whole body of at most `limit` bytes.
    pub(crate) async fn body(
        &self,
        target: &Target,
        mut response: Response,
        what: &'static str,
        limit: u64,
    ) -> Result<Bytes, SendError> {
        let too_large = || SendError::Final(Error::TooLarge { target: target.boxed(), what, limit });
        if response.content_length().is_some_and(|n| n > limit) {
            return Err(too_large());
        }
        let work = async {
            let mut all = BytesMut::new();
            while let Some(chunk) = self.chunk(target, &mut response).await? {
                if (all.len() + chunk.len()) as u64 > limit {
                    return Err(too_large());
                }
                all.extend_from_slice(&chunk);
            }
            Ok(all.freeze())
        };
        // Small things have a limit on the whole time too, against a drip of bytes.
        match tokio::time::timeout(self.limits.answer_timeout * 2, work).await {
            Ok(result) => result,
            Err(_) => Err(SendError::stalled(target, "answer takes too long")),
        }
    }
}

/// A request that got no usable answer.
pub(crate) enum SendError {
    /// Another try may help.
    Passing(Failure, Error),
    /// Trying again cannot help.
    Final(Error),
}

impl SendError {
    /// A failure of the HTTP library; `proxy` is the one by which the request went.
    fn http(target: &Target, error: reqwest::Error, proxy: Option<&Proxy>) -> Self {
        if let Some(refused) = causes(&error).find_map(|cause| cause.downcast_ref::<Refused>()) {
            return Self::Final(Error::protocol(target, refused.to_string()));
        }
        if let Some(trouble) = certificate::trouble(&error) {
            let (host, what) = (certificate::owner(error.url()), certificate::words(trouble));
            return Self::Final(Error::Certificate { target: target.boxed(), host, what });
        }
        match proxy.and_then(|proxy| proxy.refusal(&error)) {
            Some(Refusal::Credentials(what)) => {
                return Self::Final(Error::Proxy { target: target.boxed(), what });
            }
            Some(Refusal::Connection(what)) => {
                let failure = Failure { connecting: true, ..Failure::default() };
                return Self::Passing(failure, Error::Proxy { target: target.boxed(), what });
            }
            None => {}
        }
        let failure = Failure::of_error(&error);
        let what = if error.is_connect() {
            match proxy {
                Some(proxy) => format!("cannot connect by {proxy}"),
                None => "cannot connect".to_owned(),
            }
        } else if error.is_body() || error.is_decode() {
            "the transfer broke off".to_owned()
        } else {
            "the request failed".to_owned()
        };
        let error = Error::http(target, what, error);
        match failure {
            Some(failure) => Self::Passing(failure, error),
            None => Self::Final(error),
        }
    }

    /// A failure of which nothing more is known.
    pub(crate) fn passing(error: Error) -> Self {
        Self::Passing(Failure::default(), error)
    }

    fn stalled(target: &Target, what: &str) -> Self {
        Self::Passing(Failure::default(), Error::stalled(target, what))
    }

    /// How to look at it when deciding on another try; `None` if there must be none.
    pub(crate) fn failure(&self) -> Option<Failure> {
        match self {
            Self::Passing(failure, _) => Some(*failure),
            Self::Final(_) => None,
        }
    }
}

impl From<Error> for SendError {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Passing(_, error) | SendError::Final(error) => error,
        }
    }
}
