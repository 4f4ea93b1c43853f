//! The address of an open upload, and what its answers say.
//!
//! Wire: `Location` (absolute, relative or only a query; it changes with each answer), `Range: 0-99`
//! for the bytes that the registry has, `OCI-Chunk-Min-Length`. Owns the judgement of these addresses:
//! to another origin an upload goes only over TLS, and never with credentials.

use cooper_oci::Digest;
use reqwest::header::{HeaderMap, LOCATION, RANGE};
use url::Url;

use crate::auth::{is_loopback, of_unknown_scheme};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result, Target};
use crate::transport::Reply;

/// An open upload.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) location: Url,
    /// `OCI-Chunk-Min-Length`.
    pub(crate) least_chunk_bytes: Option<u64>,
}

impl Session {
    /// Reads the answer that opened it.
    pub(crate) fn opened(endpoint: &Endpoint, target: &Target, reply: &Reply) -> Result<Self> {
        let headers = reply.response.headers();
        let location = location(endpoint, reply.response.url(), headers)
            .map_err(|what| Error::protocol(target, what))?
            .ok_or_else(|| Error::protocol(target, "upload without a location"))?;
        let least = headers.get("oci-chunk-min-length").and_then(|v| v.to_str().ok()?.trim().parse().ok());
        Ok(Self { location, least_chunk_bytes: least })
    }

    /// A session that was noted earlier; `None` if its address is not one that an answer may give.
    pub(crate) fn restored(
        endpoint: &Endpoint,
        address: &str,
        least_chunk_bytes: Option<u64>,
    ) -> Option<Self> {
        let location = judge(endpoint, Url::parse(address).ok()?).ok()?;
        Some(Self { location, least_chunk_bytes })
    }

    /// Takes the new address of an answer, if it has one.
    pub(crate) fn moved(&mut self, endpoint: &Endpoint, target: &Target, reply: &Reply) -> Result<()> {
        let next = location(endpoint, reply.response.url(), reply.response.headers())
            .map_err(|what| Error::protocol(target, what))?;
        if let Some(next) = next {
            self.location = next;
        }
        Ok(())
    }

    /// The address that ends the upload: the digest goes behind whatever query there is.
    pub(crate) fn ending(&self, digest: &Digest) -> Url {
        let mut url = self.location.clone();
        let query = match url.query().filter(|q| !q.is_empty()) {
            Some(query) => format!("{query}&digest={}", digest.as_str().replace(':', "%3A")),
            None => format!("digest={}", digest.as_str().replace(':', "%3A")),
        };
        url.set_query(Some(&query));
        url
    }
}

/// Judges the `Location` of an answer from `from`.
fn location(endpoint: &Endpoint, from: &Url, headers: &HeaderMap) -> Result<Option<Url>, &'static str> {
    let Some(value) = headers.get(LOCATION) else { return Ok(None) };
    let text = value.to_str().map_err(|_| "upload location is not text")?;
    let named = of_unknown_scheme(&endpoint.base, text);
    let url = from.join(named.as_deref().unwrap_or(text)).map_err(|_| "upload location is not a URL")?;
    judge(endpoint, url).map(Some)
}

/// Judges the address of an upload.
fn judge(endpoint: &Endpoint, mut url: Url) -> Result<Url, &'static str> {
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("upload location is not http");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("upload location has a user name");
    }
    let base = &endpoint.base;
    if url.origin() == base.origin() || base.scheme() == "http" && url.scheme() == "https" {
        return Ok(url);
    }
    if url.scheme() == "http" && base.scheme() == "https" {
        // A registry that does not know of the TLS proxy before it.
        let same = url.host() == base.host() && (url.port().is_none() || url.port() == base.port());
        if !same || url.set_scheme("https").is_err() || url.set_port(base.port()).is_err() {
            return Err("upload location without TLS refused");
        }
        return Ok(url);
    }
    let local = |u: &Url| u.host().is_some_and(|h| is_loopback(&h));
    if url.scheme() == "http" && !(local(base) && local(&url)) {
        return Err("upload location on another host without TLS refused");
    }
    if local(&url) && !local(base) {
        return Err("upload location on this machine refused");
    }
    Ok(url)
}

/// Where the next chunk begins: what the registry says if it can be true, else what we sent.
pub(crate) fn accepted(reply: &Reply, offset: u64, end: u64) -> u64 {
    match range_end(reply.response.headers()) {
        Some(last) if last >= offset && last < end && last > 0 => last + 1,
        _ => end,
    }
}

/// The last byte's position in `Range: 0-99` (some say `bytes=0-99`).
pub(crate) fn range_end(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RANGE)?.to_str().ok()?.trim();
    let last = text.strip_prefix("bytes=").unwrap_or(text).strip_prefix("0-")?;
    last.parse::<u64>().ok().filter(|last| *last < u64::MAX)
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
