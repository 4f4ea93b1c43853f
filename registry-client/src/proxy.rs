//! The proxies that the environment gives, and for whom.
//!
//! Reads `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY` for the scheme of an address, and the exceptions in `NO_PROXY`, all
//! in upper or lower case: names with all below them, addresses, ranges such as `10.0.0.0/8`, each also with a port, and
//! `*`. Loopback addresses never have a proxy. A setting that cannot be used is an error for whoever would go by it:
//! silently going without could mean going where one must not. Must not show the user name and password of a proxy.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use crate::auth::is_loopback;
use crate::causes::causes;

/// A proxy and the variable that names it.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// With user name and password: not to be shown.
    pub(crate) url: Url,
    pub(crate) variable: &'static str,
}

impl Proxy {
    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }

    /// What the proxy itself refused, if that is why a request failed.
    pub(crate) fn refusal(&self, error: &reqwest::Error) -> Option<Refusal> {
        // The library's error has no type that could be asked for.
        let refused = causes(error)
            .map(ToString::to_string)
            .find_map(|text| text.strip_prefix("tunnel error: ").map(str::to_owned))?;
        match refused.as_str() {
            "proxy authorization required" => Some(Refusal::Credentials(self.wants_credentials())),
            "unsuccessful" => Some(Refusal::Connection(format!("{self} refuses to connect to it"))),
            _ => None,
        }
    }

    /// Says so, of an answer 407.
    pub(crate) fn wants_credentials(&self) -> String {
        let given = !self.url.username().is_empty() || self.url.password().is_some();
        let what =
            if given { "refuses the user name and password in" } else { "wants a user name and password in" };
        format!("the proxy {} {what} {}", self.address(), self.variable)
    }

    fn parse(variable: &'static str, text: &str) -> Result<Self, String> {
        let text = text.trim();
        let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
        let url =
            url.ok().filter(Url::has_host).ok_or(format!("{variable} is not the address of a proxy"))?;
        match url.scheme() {
            "http" | "https" => Ok(Self { url, variable }),
            other => {
                Err(format!("{variable} names a {other} proxy; only http and https proxies can be used"))
            }
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {} ({})", self.address(), self.variable)
    }
}

/// What a proxy refuses, in words.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// To serve us.
    Credentials(String),
    /// To connect us to where we want; it may later.
    Connection(String),
}

/// What the environment says of proxies.
#[derive(Default)]
pub(crate) struct Proxies {
    https: Option<Result<Proxy, String>>,
    http: Option<Result<Proxy, String>>,
    exceptions: Exceptions,
}

impl Proxies {
    pub(crate) fn from_environment() -> Self {
        // Who runs as a CGI program has HTTP_PROXY from a header of the request.
        let cgi = std::env::var_os("REQUEST_METHOD").is_some();
        Self::read(|name| std::env::var(name).ok().filter(|_| !(cgi && name == "HTTP_PROXY")))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            let set = names.iter().filter_map(|name| Some((*name, variable(name)?)));
            set.filter(|(_, text)| !text.trim().is_empty())
                .map(|(name, text)| Proxy::parse(name, &text))
                .next()
        };
        let exceptions = ["NO_PROXY", "no_proxy"].into_iter().find_map(&variable);
        Self {
            https: first(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
            http: first(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]),
            exceptions: Exceptions::parse(&exceptions.unwrap_or_default()),
        }
    }

    /// The proxy for an address; `None` to go there directly.
    pub(crate) fn of(&self, url: &Url) -> Option<Result<&Proxy, &str>> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        let proxy = proxy.as_ref()?;
        let direct = url.host().is_some_and(|h| is_loopback(&h)) || self.exceptions.hold(url);
        (!direct).then(|| proxy.as_ref().map_err(String::as_str))
    }
}

/// The entries of `NO_PROXY`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Exceptions(Vec<(Entry, Option<u16>)>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    All,
    /// A name and all below it.
    Name(String),
    /// Addresses whose first bits are these.
    Range(IpAddr, u8),
}

impl Exceptions {
    fn parse(text: &str) -> Self {
        Self(text.split(',').map(str::trim).filter(|e| !e.is_empty()).filter_map(parse_entry).collect())
    }

    fn hold(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else { return false };
        self.0.iter().any(|(entry, only)| only.is_none_or(|only| only == port) && entry.holds(&host))
    }
}

fn parse_entry(text: &str) -> Option<(Entry, Option<u16>)> {
    if let Some(entry) = parse_range(text.trim_matches(['[', ']'])) {
        return Some((entry, None));
    }
    match text.rsplit_once(':') {
        Some((host, port)) => {
            let port = Some(port.parse().ok()?);
            let entry = parse_range(host.trim_matches(['[', ']'])).or_else(|| parse_name(host))?;
            Some((entry, port))
        }
        None => Some((parse_name(text)?, None)),
    }
}

fn parse_name(text: &str) -> Option<Entry> {
    let name = text.strip_prefix("*.").unwrap_or(text).trim_matches('.');
    if name == "*" {
        return Some(Entry::All);
    }
    (!name.is_empty() && !name.contains([':', '/', '*'])).then(|| Entry::Name(name.to_ascii_lowercase()))
}

fn parse_range(text: &str) -> Option<Entry> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    Some(Entry::Range(address, bits.filter(|bits| *bits <= all).or(bits.is_none().then_some(all))?))
}

impl Entry {
    fn holds(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::All, _) => true,
            (Self::Name(name), Host::Domain(host)) => host
                .trim_end_matches('.')
                .strip_suffix(name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            (Self::Range(first, bits), Host::Ipv4(address)) => {
                starts_alike(*first, IpAddr::V4(*address), *bits)
            }
            (Self::Range(first, bits), Host::Ipv6(address)) => {
                starts_alike(*first, IpAddr::V6(*address), *bits)
            }
            _ => false,
        }
    }
}

/// Whether two addresses of one family have the first `bits` in common.
fn starts_alike(a: IpAddr, b: IpAddr, bits: u8) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(bits),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(bits),
        _ => false,
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
