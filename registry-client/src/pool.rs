//! The HTTP clients of one registry client: which certificates, proxies and addresses each connection has.
//!
//! TLS is rustls with ring and the system's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured); proxies come from
//! the environment (`proxy`). Requests that only an answer led to have clients of their own, so
//! that no connection which the user's word opened serves them. Locks: short std mutexes round maps.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Identity};
use url::Url;

use crate::error::{Error, Result, Target};
use crate::hosts::{HostsError, Trust};
use crate::proxy::{Proxies, Proxy};
use crate::reach::{NetworkPolicy, Range, Ranges, Refused};
use crate::resolve::Resolver;

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

/// The connections of one client.
pub(crate) struct Pool {
    user_agent: String,
    roots: Vec<Certificate>,
    connect_timeout: Duration,
    pub(crate) policy: NetworkPolicy,
    proxies: Proxies,
    /// Of most origins; the second is without proxy, for this machine.
    usual: [Group; 2],
    /// Of origins with settings of their own.
    own: Mutex<HashMap<String, Arc<Own>>>,
}

/// TLS for the API, TLS for blobs, plain: built when first used, because reading the system's certificates
/// takes longer than a whole request to localhost.
type Clients = [OnceLock<std::result::Result<Client, Unbuilt>>; 3];

/// Why there is no client.
#[derive(Clone)]
enum Unbuilt {
    /// The settings of its host.
    Settings(HostsError),
    Other(String),
}

/// Clients that differ only in what they may connect to.
#[derive(Default)]
struct Group(Mutex<HashMap<Option<Ranges>, Arc<Clients>>>);

impl Group {
    fn clients(&self, reach: Option<Ranges>) -> Arc<Clients> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(reach).or_default().clone()
    }
}

/// An origin's own certificates or socket.
struct Own {
    trust: Trust,
    socket: Option<PathBuf>,
    group: Group,
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    TlsApi,
    TlsBulk,
    Plain,
}

impl Own {
    fn apply(
        &self,
        kind: Kind,
        mut builder: ClientBuilder,
    ) -> std::result::Result<ClientBuilder, HostsError> {
        if let Some(socket) = &self.socket {
            builder = builder.unix_socket(socket.as_path());
        }
        if kind == Kind::Plain {
            return Ok(builder);
        }
        let read = |path: &Path| std::fs::read(path).map_err(|e| HostsError::read(path, e));
        for path in &self.trust.authorities {
            let bundle = Certificate::from_pem_bundle(&read(path)?).unwrap_or_default();
            if bundle.is_empty() {
                return Err(HostsError::syntax(path, "it holds no certificates"));
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
                let what = format!("with {} it is no certificate with an unencrypted key", key.display());
                HostsError::syntax(certificate, what)
            })?;
            builder = builder.identity(identity);
        }
        Ok(if self.trust.skip_verify { builder.tls_danger_accept_invalid_certs(true) } else { builder })
    }
}

impl Pool {
    pub(crate) fn new(
        user_agent: String,
        roots: Vec<Certificate>,
        connect_timeout: Duration,
        policy: NetworkPolicy,
    ) -> Self {
        Self {
            user_agent,
            roots,
            connect_timeout,
            policy,
            proxies: Proxies::from_environment(),
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
            map.insert(origin.to_owned(), Arc::new(Own { trust, socket, group: Group::default() }));
        }
    }

    fn own(&self, url: &Url) -> Option<Arc<Own>> {
        let map = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(&url.origin().ascii_serialization()).cloned()
    }

    /// The range of addresses that a host is known to be in without being asked.
    pub(crate) fn range(&self, url: &Url) -> Option<Range> {
        if self.own(url).is_some_and(|own| own.socket.is_some()) {
            return Some(Range::Loopback);
        }
        url.host().and_then(|host| Range::of_host(&host))
    }

    /// The proxy by which an address is reached.
    pub(crate) fn proxy(&self, url: &Url) -> Option<&Proxy> {
        self.proxies.of(url).and_then(Result::ok)
    }

    /// The client for an address; with a reach it connects nowhere else.
    pub(crate) fn client(
        &self,
        target: &Target,
        url: &Url,
        lane: Lane,
        reach: Option<Ranges>,
    ) -> Result<Client> {
        let own = self.own(url);
        if let (Some(allowed), Some(range)) = (reach, self.range(url))
            && !allowed.hold(range)
        {
            let host = url.host_str().unwrap_or_default().to_owned();
            return Err(Error::protocol(target, Refused { host, address: None, range }.to_string()));
        }
        let socket = own.as_ref().is_some_and(|own| own.socket.is_some());
        let proxy = match self.proxies.of(url).filter(|_| !socket) {
            Some(Ok(proxy)) => Some(proxy),
            Some(Err(what)) => {
                return Err(Error::Proxy { target: target.boxed(), what: what.to_owned() });
            }
            None => None,
        };
        let kind = match (url.scheme(), lane) {
            ("https", Lane::Api) => Kind::TlsApi,
            ("https", Lane::Bulk) => Kind::TlsBulk,
            _ => Kind::Plain,
        };
        let [by_proxy, without] = &self.usual;
        let group = match &own {
            Some(own) => &own.group,
            None if proxy.is_none() => without,
            None => by_proxy,
        };
        let clients = group.clients(reach);
        let [api, bulk, plain] = clients.as_ref();
        let slot = match kind {
            Kind::TlsApi => api,
            Kind::TlsBulk => bulk,
            Kind::Plain => plain,
        };
        let built = slot.get_or_init(|| self.build(kind, proxy, reach, own.as_deref()));
        built.clone().map_err(|why| match why {
            Unbuilt::Settings(error) => error.into(),
            Unbuilt::Other(cause) => Error::stalled(target, format!("cannot set up the connection: {cause}")),
        })
    }

    fn build(
        &self,
        kind: Kind,
        proxy: Option<&Proxy>,
        reach: Option<Ranges>,
        own: Option<&Own>,
    ) -> std::result::Result<Client, Unbuilt> {
        // Fails if a provider is installed already, which then serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exempt = proxy.and_then(|proxy| proxy.url.host_str()).map(str::to_owned);
        let mut builder = Client::builder()
            .user_agent(&self.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Resolver { allowed: reach, exempt })
            .connect_timeout(self.connect_timeout)
            // Ours is the patience with a server that stops reading; the usual 30 s of the kernel would end it sooner.
            .tcp_user_timeout(None)
            .pool_idle_timeout(Duration::from_mins(1))
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .referer(false)
            .retry(reqwest::retry::never());
        builder = match kind {
            Kind::TlsApi => builder.tls_certs_merge(self.roots.iter().cloned()),
            Kind::TlsBulk => builder.tls_certs_merge(self.roots.iter().cloned()).http1_only(),
            Kind::Plain => builder.tls_certs_only([]).http1_only(),
        };
        let cause = |e: &reqwest::Error| {
            let cause = std::error::Error::source(e).map(ToString::to_string);
            Unbuilt::Other(cause.unwrap_or_else(|| e.to_string()))
        };
        builder = match proxy {
            Some(proxy) => {
                builder.proxy(reqwest::Proxy::all(proxy.url.clone()).map_err(|e| cause(&e.without_url()))?)
            }
            None => builder.no_proxy(),
        };
        if let Some(own) = own {
            builder = own.apply(kind, builder).map_err(Unbuilt::Settings)?;
        }
        builder.build().map_err(|e| cause(&e))
    }
}
