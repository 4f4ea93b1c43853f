//! Which endpoints an operation asks, and in which order.
//!
//! Owns the choice between TLS and plain HTTP and the way from a mirror to the next place. TLS is given up only
//! where the settings list a host as insecure, and for loopback addresses, and there only if the host answers a TLS
//! greeting by something else, or refuses: a bad certificate is never a reason. A mirror that fails in any way costs a notice and, if
//! nothing else works either, a line in the error.

use std::future::Future;
use std::time::Duration;

use cooper_oci::Reference;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::Client;
use crate::endpoint::{Endpoint, base_url, names_loopback};
use crate::error::{Error, ErrorKind, Result, Target};
use crate::hosts::{Access, Place, Trust};
use crate::notice::Notice;

/// How long a host may take to answer a TLS greeting. Silence is no sign of plain HTTP.
const GREETING: Duration = Duration::from_secs(10);

impl Client {
    /// The registry itself, for what concerns no repository.
    pub(crate) async fn endpoint(&self, registry: &str) -> Result<Endpoint> {
        self.endpoint_of(self.inner.hosts.registry(registry)?).await
    }

    /// The endpoint where a repository is changed, and asked for lists.
    pub(crate) async fn upstream(&self, reference: &Reference) -> Result<Endpoint> {
        let places = self.inner.hosts.places(reference, Access::Push)?;
        let first = places.into_iter().next();
        let target = Target { registry: reference.registry.clone(), ..Target::default() };
        let place = first.ok_or_else(|| Error::protocol(&target, "no place is set up for this registry"))?;
        self.endpoint_of(place).await
    }

    /// The endpoints to ask in turn, the registry itself last.
    pub(crate) async fn endpoints(&self, reference: &Reference, access: Access) -> Result<Vec<Endpoint>> {
        let mut endpoints = Vec::new();
        for place in self.inner.hosts.places(reference, access)? {
            endpoints.push(self.endpoint_of(place).await?);
        }
        Ok(endpoints)
    }

    async fn endpoint_of(&self, mut place: Place) -> Result<Endpoint> {
        let inner = &self.inner;
        let socket = place.socket.as_ref().or_else(|| inner.sockets.get(&place.host)).cloned();
        let loopback = names_loopback(&place.host);
        let plain_http = inner.insecure.contains(&place.host);
        let any_certificate = inner.unverified.contains(&place.host);
        let plain = match place.scheme {
            _ if socket.is_some() => true,
            Some(scheme) => scheme == "http",
            None if plain_http && !any_certificate => true,
            None if loopback || place.insecure || plain_http => !self.greets(&place.host).await,
            None => false,
        };
        place.trust.skip_verify |= place.insecure && !plain;
        place.trust.skip_verify |= any_certificate;
        let endpoint = Endpoint::new(&place, plain, socket.is_some())?;
        if place.trust != Trust::default() || socket.is_some() {
            inner.transport.pool.adopt(&endpoint.origin(), &place.trust, socket.as_deref());
        }
        Ok(endpoint)
    }

    /// Whether a host speaks TLS; asked once.
    async fn greets(&self, host: &str) -> bool {
        let known = {
            let mut map = self.inner.greeted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            map.entry(host.to_owned()).or_default().clone()
        };
        *known.get_or_init(|| greet(host)).await
    }

    /// Does `work` at each endpoint until one succeeds.
    pub(crate) async fn across<T, F>(
        &self,
        reference: &Reference,
        access: Access,
        target: &Target,
        work: impl Fn(Endpoint) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let endpoints = self.endpoints(reference, access).await?;
        let mut fallen = Fallen::new(self, target);
        for (n, endpoint) in endpoints.iter().enumerate() {
            match work(endpoint.clone()).await {
                Ok(value) => return Ok(value),
                Err(error) => fallen.through(&endpoints, n, error)?,
            }
        }
        Err(Error::protocol(target, "no place is set up for this registry"))
    }
}

/// The mirrors that failed so far.
pub(crate) struct Fallen<'a> {
    client: &'a Client,
    target: &'a Target,
    mirrors: Vec<String>,
}

impl<'a> Fallen<'a> {
    pub(crate) fn new(client: &'a Client, target: &'a Target) -> Self {
        Self { client, target, mirrors: Vec::new() }
    }

    /// Goes on to the next place, or gives the error that ends it all.
    pub(crate) fn through(&mut self, endpoints: &[Endpoint], n: usize, error: Error) -> Result<()> {
        let next =
            endpoints.get(n + 1).filter(|_| !matches!(error.kind(), ErrorKind::Local | ErrorKind::Cancelled));
        let Some(next) = next else {
            if self.mirrors.is_empty() {
                return Err(error);
            }
            return Err(Error::Mirrored {
                mirrors: std::mem::take(&mut self.mirrors),
                source: Box::new(error),
            });
        };
        let place = endpoints.get(n).map(|e| e.registry.clone()).unwrap_or_default();
        let mut text = error.to_string();
        if let Some(cause) = std::error::Error::source(&error) {
            text = format!("{text}: {cause}");
        }
        self.client.inner.notices.tell(&Notice::FellThrough {
            target: self.target.to_string(),
            place: place.clone(),
            next: next.registry.clone(),
            error: text.clone(),
        });
        self.mirrors.push(format!("{place} ({text})"));
        Ok(())
    }
}

/// A TLS greeting with no cipher that anyone takes: it is answered by an alert, and by a server without TLS with
/// an HTTP error, for it holds the end of a request's head.
const HELLO: &[u8] =
    b"\x16\x03\x01\x00\x4f\x01\x00\x00\x4b\x03\x03\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\x20\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\x00\x02\x00\x00\x01\x00\x00\x00";

async fn greet(host: &str) -> bool {
    let Some(url) = base_url(host, false) else { return true };
    let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let address = (name, url.port_or_known_default().unwrap_or(443));
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(HELLO).await?;
        let mut first = [0];
        stream.read_exact(&mut first).await?;
        Ok::<u8, std::io::Error>(first[0])
    };
    // Records of TLS begin with 20 to 23.
    !matches!(tokio::time::timeout(GREETING, answer).await, Ok(Err(_) | Ok(..20 | 24..)))
}
