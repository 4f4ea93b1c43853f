//! HTTP: connections, TLS, redirects and time limits.
//!
//! Every request of this crate leaves through [`Transport::send`]. It owns the rule that a credential
//! never follows to another origin: `Authorization` is dropped at the first change of scheme, host or
//! port and does not come back. Bodies are never decoded. TLS is rustls with ring and the system's
//! roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured); proxies come from the environment, but
//! never for loopback addresses.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Method, Response};
use url::{Origin, Url};

use crate::auth::{is_loopback, is_public};
use crate::error::{Error, Result, Target};
use crate::hosts::Trust;
use crate::limits::Limits;
use crate::proxy::Exceptions;

const MAX_REDIRECTS: usize = 10;
/// Bytes of an answer's headers; HTTP/1.1 has such limits of its own.
const MAX_HEADER_BYTES: u32 = 64 << 10;

/// Which pool of connections to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Small requests: HTTP/2 where the server has it.
    Api,
    /// Blobs: HTTP/1.1, so that parallel transfers do not share one flow-control window.
    Bulk,
}

/// A request before credentials and redirects.
pub(crate) struct Outgoing {
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
}

/// Watches the body of an upload: how much of it is sent, and whether its source failed.
pub(crate) struct Sent {
    bytes: AtomicU64,
    total: u64,
    trouble: Mutex<Option<io::Error>>,
}

impl Sent {
    pub(crate) fn new(total: u64) -> Self {
        Self { bytes: AtomicU64::new(0), total, trouble: Mutex::default() }
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Keeps the source's error, and gives one to end the request with.
    pub(crate) fn fail(&self, error: io::Error) -> io::Error {
        let copy = io::Error::new(error.kind(), error.to_string());
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        copy
    }

    /// The error that the source ended with.
    pub(crate) fn trouble(&self) -> Option<io::Error> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The connections of one client.
pub(crate) struct Transport {
    user_agent: String,
    roots: Vec<Certificate>,
    limits: Limits,
    exceptions: Exceptions,
    /// Of most origins; the second is without proxy, for this machine.
    usual: [Clients; 2],
    /// Of origins with settings of their own.
    own: Mutex<HashMap<String, Arc<Own>>>,
}

/// TLS for the API, TLS for blobs, plain: built when first used, because reading the system's certificates
/// takes longer than a whole request to localhost.
type Clients = [OnceLock<std::result::Result<Client, String>>; 3];

/// An origin's own certificates or socket.
struct Own {
    trust: Trust,
    socket: Option<PathBuf>,
    clients: Clients,
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    TlsApi,
    TlsBulk,
    Plain,
}

impl Own {
    fn apply(&self, kind: Kind, mut builder: ClientBuilder) -> std::result::Result<ClientBuilder, String> {
        if let Some(socket) = &self.socket {
            builder = builder.unix_socket(socket.as_path()).no_proxy();
        }
        if kind == Kind::Plain {
            return Ok(builder);
        }
        let read =
            |path: &Path| std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()));
        for path in &self.trust.authorities {
            let bundle = Certificate::from_pem_bundle(&read(path)?)
                .map_err(|_| format!("{} holds no certificates", path.display()))?;
            if bundle.is_empty() {
                return Err(format!("{} holds no certificates", path.display()));
            }
            builder = builder.tls_certs_merge(bundle);
        }
        if let Some((certificate, key)) = &self.trust.identity {
            let mut pem = read(certificate)?;
            if key != certificate {
                pem.push(b'\n');
                pem.extend(read(key)?);
            }
            let identity = Identity::from_pem(&pem).map_err(|_| {
                format!(
                    "{} and {} are no certificate with an unencrypted key",
                    certificate.display(),
                    key.display()
                )
            })?;
            builder = builder.identity(identity);
        }
        Ok(if self.trust.skip_verify { builder.tls_danger_accept_invalid_certs(true) } else { builder })
    }
}

impl Transport {
    pub(crate) fn new(user_agent: String, roots: Vec<Certificate>, limits: Limits) -> Self {
        Self {
            user_agent,
            roots,
            limits,
            exceptions: Exceptions::from_environment(),
            usual: Default::default(),
            own: Mutex::default(),
        }
    }

    /// Gives an origin certificates or a socket of its own. They are used for nothing else: not for its token
    /// service, nor for what it redirects to.
    pub(crate) fn adopt(&self, origin: &str, trust: &Trust, socket: Option<&Path>) {
        let mut map = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |own: &Arc<Own>| own.trust == *trust && own.socket.as_deref() == socket;
        if !map.get(origin).is_some_and(same) {
            let (trust, socket) = (trust.clone(), socket.map(Path::to_owned));
            map.insert(origin.to_owned(), Arc::new(Own { trust, socket, clients: Clients::default() }));
        }
    }

    fn client(&self, target: &Target, url: &Url, lane: Lane) -> Result<Client> {
        let own = {
            let map = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            map.get(&url.origin().ascii_serialization()).cloned()
        };
        let direct = url.host().is_some_and(|h| is_loopback(&h)) || self.exceptions.holds(url);
        let kind = match (url.scheme(), lane) {
            ("https", Lane::Api) => Kind::TlsApi,
            ("https", Lane::Bulk) => Kind::TlsBulk,
            _ => Kind::Plain,
        };
        let [by_proxy, without] = &self.usual;
        let clients = match &own {
            Some(own) => &own.clients,
            None if direct => without,
            None => by_proxy,
        };
        let slot = match (clients, kind) {
            ([slot, _, _], Kind::TlsApi) | ([_, slot, _], Kind::TlsBulk) | ([_, _, slot], Kind::Plain) => {
                slot
            }
        };
        slot.get_or_init(|| self.build(kind, direct, own.as_deref())).clone().map_err(|cause| {
            Error::Network {
                target: target.boxed(),
                what: format!("cannot set up the connection: {cause}"),
                source: None,
            }
        })
    }

    fn build(&self, kind: Kind, direct: bool, own: Option<&Own>) -> std::result::Result<Client, String> {
        // Fails if a provider is installed already, which then serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(&self.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.limits.connect_timeout)
            .pool_idle_timeout(Duration::from_mins(1))
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .referer(false)
            .retry(reqwest::retry::never());
        builder = match kind {
            Kind::TlsApi => builder.tls_certs_merge(self.roots.iter().cloned()),
            Kind::TlsBulk => builder.tls_certs_merge(self.roots.iter().cloned()).http1_only(),
            Kind::Plain => builder.tls_certs_only([]).http1_only(),
        };
        if direct {
            builder = builder.no_proxy();
        }
        if let Some(own) = own {
            builder = own.apply(kind, builder)?;
        }
        builder.build().map_err(|e| {
            let cause = std::error::Error::source(&e).map(ToString::to_string);
            cause.unwrap_or_else(|| e.to_string())
        })
    }

    /// Sends a request and follows its redirects. `sent` watches the body of an upload, which has no
    /// limit on its whole time.
    pub(crate) async fn send(
        &self,
        target: &Target,
        outgoing: Outgoing,
        sent: Option<&Sent>,
    ) -> Result<Reply, SendError> {
        let Outgoing { method, mut url, headers, mut authorization, mut body, lane } = outgoing;
        let start = url.clone();
        let mut foreign = false;
        for _ in 0..=MAX_REDIRECTS {
            let client = self.client(target, &url, lane)?;
            let mut request = client.request(method.clone(), url.clone()).headers(headers.clone());
            if let Some(bound) = authorization.as_ref().filter(|bound| bound.origin == url.origin()) {
                request = request.header(AUTHORIZATION, bound.header.clone());
            }
            let bodiless = body.is_none();
            if let Some(body) = body.take() {
                request = request.body(body);
            }
            let response = self.in_time(target, request, sent).await?;
            let redirect = match response.status().as_u16() {
                301..=303 => method == Method::GET || method == Method::HEAD,
                307 | 308 => bodiless,
                _ => false,
            };
            if !redirect {
                return Ok(Reply { response, foreign });
            }
            let next = redirect_target(&start, &url, response.headers())
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
        request: reqwest::RequestBuilder,
        sent: Option<&Sent>,
    ) -> Result<Response, SendError> {
        let work = async { request.send().await.map_err(|e| SendError::Http(target.boxed(), e)) };
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
                if now < sent.total { self.limits.idle_timeout } else { self.limits.commit_timeout };
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
            Ok(result) => result.map_err(|e| SendError::Http(target.boxed(), e)),
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
    /// The connection failed.
    Http(Box<Target>, reqwest::Error),
    /// Nothing moved for too long.
    Stalled(Error),
    /// Trying again cannot help.
    Final(Error),
}

impl SendError {
    fn stalled(target: &Target, what: &str) -> Self {
        Self::Stalled(Error::stalled(target, what))
    }

    /// How to look at it when deciding on another try; `None` if there must be none.
    pub(crate) fn failure(&self) -> Option<crate::retry::Failure> {
        match self {
            Self::Http(_, error) => crate::retry::Failure::of_error(error),
            Self::Stalled(_) => Some(crate::retry::Failure::default()),
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
            SendError::Http(target, error) => {
                let what = if error.is_connect() {
                    "cannot connect"
                } else if error.is_body() || error.is_decode() {
                    "the transfer broke off"
                } else {
                    "the request failed"
                };
                Error::http(&target, what, error)
            }
            SendError::Stalled(error) | SendError::Final(error) => error,
        }
    }
}

fn redirect_target(start: &Url, from: &Url, headers: &HeaderMap) -> std::result::Result<Url, &'static str> {
    let location =
        headers.get(LOCATION).and_then(|v| v.to_str().ok()).ok_or("redirect without a location")?;
    let next = from.join(location).map_err(|_| "redirect to something that is no URL")?;
    let host = next.host().ok_or("redirect to something that is no URL")?;
    match next.scheme() {
        "https" => {}
        "http" if from.scheme() == "http" => {}
        "http" => return Err("redirect from https to http refused"),
        _ => return Err("redirect to another scheme than https refused"),
    }
    if !next.username().is_empty() || next.password().is_some() {
        return Err("redirect with a user name refused");
    }
    let start_is_local = start.host().is_some_and(|h| is_loopback(&h) || !is_public(&h));
    let inward =
        is_loopback(&host) || matches!(host, url::Host::Ipv4(a) if a.is_link_local() || a.is_unspecified());
    if inward && !start_is_local && next.origin() != start.origin() {
        return Err("redirect to this machine refused");
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn redirects_stay_at_least_as_safe() {
        let next = |from: &str, to: &str| {
            let from = Url::parse(from).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, to.parse().unwrap());
            redirect_target(&from, &from, &headers).map(|u| u.to_string())
        };
        let from = "https://reg.test/v2/a/blobs/x";
        assert_eq!(next(from, "https://cdn.test/x?sig=1").unwrap(), "https://cdn.test/x?sig=1");
        assert_eq!(next(from, "../manifests/y").unwrap(), "https://reg.test/v2/a/manifests/y");
        for bad in ["http://reg.test/x", "ftp://reg.test/x", "https://u:p@reg.test/x", "https://127.0.0.1/x"]
        {
            assert!(next(from, bad).is_err(), "{bad}");
        }
        for bad in ["https://169.254.169.254/latest", "https://localhost/x", "https://"] {
            assert!(next(from, bad).is_err(), "{bad}");
        }
        assert!(next("http://localhost:5000/x", "http://127.0.0.1:6000/y").is_ok());
    }
}
