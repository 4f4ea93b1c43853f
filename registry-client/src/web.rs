//! HTTP for other things than registries, under the same rules: proxies, certificates, and where an answer may lead.
//!
//! Owns the difference: with [`NetworkPolicy::Public`] the address that a download begins with must be public itself, as
//! a Dockerfile may have named it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, Response};
use url::{Host, Url};

use crate::causes::causes;
use crate::certificate;
use crate::error::{Error, Target};
use crate::pool::{Lane, Pool};
use crate::reach::{NetworkPolicy, Range, Ranges, Refused};

/// The connections of one process.
pub struct Web {
    pool: Pool,
}

/// One download, from the address that was named to where its redirects lead.
#[derive(Debug, Clone)]
pub struct Journey {
    home: Url,
    /// The range of addresses that it began in, once that is known.
    range: Option<Range>,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Web")
    }
}

impl Web {
    /// Opens no connection yet.
    pub fn new(user_agent: &str, connect_timeout: Duration, policy: NetworkPolicy) -> Self {
        Self { pool: Pool::new(user_agent.to_owned(), Vec::new(), connect_timeout, policy) }
    }

    /// Begins a download.
    pub fn begin(&self, url: &Url) -> Journey {
        Journey { home: url.clone(), range: self.pool.range(url) }
    }

    /// What may be connected to at the beginning: `None` for anything.
    fn named(&self) -> Option<Ranges> {
        match self.pool.policy {
            NetworkPolicy::Usual => None,
            NetworkPolicy::Public => Some(self.pool.policy.ranges()),
        }
    }

    /// A client (HTTP/1.1, no redirects of its own) that connects for this address to nothing that the journey may not
    /// lead to; else why not, in words.
    pub fn client(&self, journey: &Journey, url: &Url) -> Result<Client, String> {
        let reach = if url.origin() == journey.home.origin() {
            self.named()
        } else {
            let usual = self.pool.policy.ranges();
            Some(journey.range.map_or(usual, |range| usual.and(range)))
        };
        if let (Some(allowed), Some(range)) = (reach, self.pool.range(url))
            && !allowed.hold(range)
        {
            let host = url.host_str().unwrap_or_default().to_owned();
            return Err(words(&Refused { host, address: None, range }));
        }
        self.pool.client(&Target::default(), url, Lane::Bulk, reach).map_err(|error| match error {
            Error::Network { what, .. } | Error::Proxy { what, .. } | Error::Protocol { what, .. } => what,
            other => other.to_string(),
        })
    }

    /// Notes where an answer came from: a journey that began inside may stay there.
    pub fn met(&self, journey: &mut Journey, response: &Response) {
        let first = response.url().origin() == journey.home.origin();
        if first && self.pool.proxy(response.url()).is_none() {
            journey.range = response.remote_addr().map(|peer| Range::of(peer.ip())).or(journey.range);
        }
    }

    /// Why a request failed, in words, if the network policy or a certificate is the reason: trying again does not help.
    pub fn refusal(&self, error: &reqwest::Error) -> Option<String> {
        if let Some(refused) = causes(error).find_map(|cause| cause.downcast_ref::<Refused>()) {
            return Some(words(refused));
        }
        let trouble = certificate::trouble(error)?;
        Some(format!(
            "the certificate of {} {}",
            certificate::owner(error.url()),
            certificate::words(trouble)
        ))
    }

    /// Judges a host that another program will connect to: all its addresses must be allowed at the beginning of a
    /// download. Names that a proxy looks up cannot be judged, and what cannot be looked up leads nowhere.
    pub async fn judge(&self, host: &str) -> Result<(), String> {
        let Some(allowed) = self.named() else { return Ok(()) };
        let bare = host.trim_matches(['[', ']']);
        let found: Vec<IpAddr> = match bare.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) if Range::of_host(&Host::Domain(bare)).is_some() => {
                vec![std::net::Ipv4Addr::LOCALHOST.into()]
            }
            Err(_) => match tokio::net::lookup_host((bare, 0)).await {
                Ok(found) => found.map(|address: SocketAddr| address.ip()).collect(),
                Err(_) => return Ok(()),
            },
        };
        for address in found {
            let range = Range::of(address);
            if !allowed.hold(range) {
                return Err(words(&Refused { host: host.to_owned(), address: Some(address), range }));
            }
        }
        Ok(())
    }
}

fn words(refused: &Refused) -> String {
    let Refused { host, address, range } = refused;
    let address = address.map(|address| format!(" ({address})")).unwrap_or_default();
    format!("it leads to {host}{address}, {range}, where the network policy lets no download go")
}
