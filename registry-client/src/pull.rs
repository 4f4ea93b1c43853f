//! Pulling blobs.
//!
//! Owns the transfer: hashed while it streams, never more bytes than the descriptor says, continued by
//! `Range` after a break (always from the registry itself: where it redirected to is not remembered),
//! begun again once if the whole was wrong. A descriptor's `urls` are never fetched. A slow connection for a
//! big blob gets company from `ranges`.

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use cooper_oci::{Descriptor, Digest, Hasher, Reference};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::time::Instant;

use crate::auth::Scopes;
use crate::call::{Call, target_of};
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result, Target};
use crate::hosts::Access;
use crate::places::Fallen;
use crate::progress::Direction;
use crate::retry::Failure;
use crate::segments::Ahead;
use crate::sink::BlobSink;
use crate::transport::{Lane, Reply, SendError};

impl Client {
    /// Streams a blob into a sink. Only on `Ok` does the sink hold the blob: all of it, with the right
    /// digest. Counts against [`crate::Limits::transfers`].
    pub async fn pull_blob<S: BlobSink + ?Sized>(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        sink: &mut S,
    ) -> Result<()> {
        let target = target_of(reference, &descriptor.digest);
        let pull = self.pull_across(reference, descriptor, &target, sink, Part::Own);
        self.unless_cancelled(&target, pull).await
    }

    /// Asks one place after the other.
    pub(crate) async fn pull_across<S: BlobSink + ?Sized>(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        target: &Target,
        sink: &mut S,
        part: Part,
    ) -> Result<()> {
        let endpoints = self.endpoints(reference, Access::Pull).await?;
        let mut fallen = Fallen::new(self, target);
        for (n, endpoint) in endpoints.iter().enumerate() {
            let hasher = (!sink.hashes()).then(|| descriptor.digest.hasher());
            let offset = sink.held_bytes();
            let mut ahead = Ahead::new(&self.inner.limits, descriptor.size);
            if part == Part::OfPush && offset > 0 {
                // The push may want a chunk only.
                ahead.most = 0;
            }
            let ranges = true;
            let mut pull =
                Pull { client: self, endpoint, target, descriptor, part, hasher, offset, ranges, ahead };
            let Err(error) = pull.run(sink).await else { return Ok(()) };
            if pull.offset > sink.held_bytes() && n + 1 < endpoints.len() {
                // The next place begins again: what a mirror gave may be what is wrong.
                match sink.restart().await {
                    Ok(()) => {}
                    Err(e) if e.kind() == std::io::ErrorKind::Unsupported => return Err(error),
                    Err(e) => return Err(Error::local(target, "cannot begin again", e)),
                }
            }
            fallen.through(&endpoints, n, error)?;
        }
        Err(Error::protocol(target, "no place is set up for this registry"))
    }

    /// A whole blob in memory, such as a config; at most [`crate::Limits::config_bytes`].
    pub async fn pull_bytes(&self, reference: &Reference, descriptor: &Descriptor) -> Result<Bytes> {
        let limit = self.inner.limits.config_bytes;
        if descriptor.size > limit {
            let target = target_of(reference, &descriptor.digest);
            return Err(Error::TooLarge { target: target.boxed(), what: "blob", limit });
        }
        let mut bytes = Vec::new();
        self.pull_blob(reference, descriptor, &mut bytes).await?;
        Ok(bytes.into())
    }

    /// Whether a repository has a blob, at the registry itself.
    pub async fn blob_exists(&self, reference: &Reference, digest: &Digest) -> Result<bool> {
        let target = target_of(reference, digest);
        let work = async {
            let endpoint = self.upstream(reference).await?;
            let url = endpoint.url(&format!("blobs/{digest}"));
            let call = Call::new(&endpoint, &target, Scopes::pull(&endpoint.repository), Method::HEAD, url);
            self.inner.question(&call).await
        };
        let reply = self.unless_cancelled(&target, work).await?;
        match reply.response.status().as_u16() {
            200..=299 => Ok(true),
            404 => Ok(false),
            _ => Err(self.inner.refuse(&target, reply).await),
        }
    }
}

/// What a pull is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Of nothing: it waits for its turn among the transfers of its registry, and tells how far it is.
    Own,
    /// Of a push that reads it: that has had its turn, and tells.
    OfPush,
}

/// One blob on its way.
pub(crate) struct Pull<'a> {
    pub(crate) client: &'a Client,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) target: &'a Target,
    pub(crate) descriptor: &'a Descriptor,
    part: Part,
    /// Unless the sink hashes.
    hasher: Option<Hasher>,
    /// Bytes that the sink has.
    pub(crate) offset: u64,
    /// Whether to ask for the rest only; not after a server made a mess of it.
    pub(crate) ranges: bool,
    /// What came before its turn.
    pub(crate) ahead: Ahead,
}

/// How one transfer ended.
pub(crate) enum End {
    Complete,
    /// Well, and the rest is to be asked for.
    Rest,
    Broken(SendError),
}

impl<'a> Pull<'a> {
    async fn run<S: BlobSink + ?Sized>(&mut self, sink: &mut S) -> Result<()> {
        if let Some(data) = self.embedded()?.filter(|_| self.offset == 0) {
            self.accept(data, sink).await?;
            return self.finish(sink).await;
        }
        let slot = self.client.inner.slot(self.endpoint);
        let _permit = match self.part {
            Part::Own => {
                Some(slot.acquire().await.map_err(|_| Error::stalled(self.target, "no transfer slot"))?)
            }
            // Not waited for: all may be held by pushes to the same registry.
            Part::OfPush => slot.try_acquire().ok(),
        };
        let mut attempts = self.client.inner.attempts(self.endpoint);
        let mut second = false;
        loop {
            let before = self.offset;
            let (failure, error) = match self.transfer(sink).await? {
                End::Complete => {
                    let actual = self.digest(sink).await?;
                    if actual == self.descriptor.digest {
                        return self.finish(sink).await;
                    }
                    let expected = self.descriptor.digest.clone();
                    let mismatch = Error::DigestMismatch { target: self.target.boxed(), expected, actual };
                    // Once: a resumed or damaged transfer may be right the second time.
                    if second || !self.start_over(sink).await? {
                        return Err(mismatch);
                    }
                    second = true;
                    (Failure::default(), mismatch)
                }
                End::Rest => {
                    attempts.progress();
                    continue;
                }
                End::Broken(error) => match error.failure() {
                    Some(failure) => (failure, error.into()),
                    None => return Err(error.into()),
                },
            };
            if self.offset > before {
                attempts.progress();
            }
            if !attempts.again(&failure).await {
                return Err(error);
            }
        }
    }

    /// The content that the descriptor itself carries, if it is right.
    fn embedded(&self) -> Result<Option<Bytes>> {
        let Some(data) = &self.descriptor.data else { return Ok(None) };
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(data)
            .map_err(|_| Error::protocol(self.target, "data of the descriptor is not base64"))?;
        if bytes.len() as u64 != self.descriptor.size || !self.descriptor.digest.verifies(&bytes) {
            return Err(Error::protocol(self.target, "data of the descriptor is not what its digest says"));
        }
        Ok(Some(bytes.into()))
    }

    /// The digest of what the sink has.
    async fn digest<S: BlobSink + ?Sized>(&self, sink: &mut S) -> Result<Digest> {
        if let Some(hasher) = &self.hasher {
            return Ok(hasher.clone().finish());
        }
        let digest =
            sink.digest().await.map_err(|e| Error::local(self.target, "cannot store the blob", e))?;
        let missing = || std::io::Error::other("the writer was lost");
        digest.ok_or_else(|| Error::local(self.target, "cannot store the blob", missing()))
    }

    async fn start_over<S: BlobSink + ?Sized>(&mut self, sink: &mut S) -> Result<bool> {
        match sink.restart().await {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::Unsupported => return Ok(false),
            Err(e) => return Err(Error::local(self.target, "cannot begin again", e)),
        }
        self.hasher = (!sink.hashes()).then(|| self.descriptor.digest.hasher());
        self.offset = 0;
        self.ranges = false;
        self.ahead.clear();
        Ok(true)
    }

    async fn finish<S: BlobSink + ?Sized>(&self, sink: &mut S) -> Result<()> {
        sink.finish().await.map_err(|e| Error::local(self.target, "cannot store the blob", e))
    }

    pub(crate) async fn accept<S: BlobSink + ?Sized>(&mut self, chunk: Bytes, sink: &mut S) -> Result<()> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&chunk);
        }
        self.offset += chunk.len() as u64;
        sink.write(chunk).await.map_err(|e| Error::local(self.target, "cannot store the blob", e))?;
        self.observe();
        Ok(())
    }

    /// Tells how much there is, what waits for its turn included.
    pub(crate) fn observe(&self) {
        if self.part == Part::OfPush {
            return;
        }
        let done = self.offset + self.ahead.waiting();
        self.client.observe(Direction::Pull, &self.descriptor.digest, done, self.descriptor.size);
    }

    /// A request for the blob, or for a range of it.
    pub(crate) fn request(&self, range: Option<String>) -> Call<'a> {
        let url = self.endpoint.url(&format!("blobs/{}", self.descriptor.digest));
        let scopes = Scopes::pull(&self.endpoint.repository);
        let mut call = Call::new(self.endpoint, self.target, scopes, Method::GET, url);
        call.lane = Lane::Bulk;
        call.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let range = range.and_then(|range| HeaderValue::try_from(range).ok());
        call.headers.extend(range.map(|value| (RANGE, value)));
        call
    }

    /// Whether an answer is not the bytes themselves.
    pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
        headers.get(CONTENT_ENCODING).is_some_and(|value| value.as_bytes() != b"identity")
    }

    /// What an answer that is no part of the blob means.
    pub(crate) async fn refused(&self, reply: Reply) -> Result<End> {
        // A signed link may have expired between redirect and use; the registry gives a new one.
        let expired = reply.foreign && reply.response.status() == StatusCode::FORBIDDEN;
        let error = self.client.inner.refuse(self.target, reply).await;
        if expired { Ok(End::Broken(SendError::passing(error))) } else { Err(error) }
    }

    /// One request and its body.
    async fn transfer<S: BlobSink + ?Sized>(&mut self, sink: &mut S) -> Result<End> {
        if self.offset > 0 && self.offset == self.descriptor.size {
            return Ok(End::Complete);
        }
        if !self.ahead.is_empty() {
            return self.in_ranges(None, sink).await;
        }
        let inner = &self.client.inner;
        let rest = self.offset > 0 && self.ranges;
        let reply = inner.call(&self.request(rest.then(|| format!("bytes={}-", self.offset)))).await?;
        let headers = reply.response.headers();
        if reply.response.status().is_success() && Self::is_encoded(headers) {
            return Err(Error::protocol(self.target, "the blob comes with a content encoding"));
        }
        // Bytes of the answer that the sink has already.
        let skip = match reply.response.status() {
            StatusCode::OK => self.offset,
            StatusCode::PARTIAL_CONTENT => {
                let start = headers.get(CONTENT_RANGE).and_then(|v| v.to_str().ok()).and_then(range_start);
                match start.and_then(|start| self.offset.checked_sub(start)) {
                    Some(skip) => skip,
                    None => return Ok(self.without_ranges("answer has another range than was asked for")),
                }
            }
            StatusCode::RANGE_NOT_SATISFIABLE if self.offset > 0 && self.ranges => {
                return Ok(self.without_ranges("range refused"));
            }
            _ => return self.refused(reply).await,
        };
        let announced = reply.response.content_length();
        let expected = self.descriptor.size.saturating_sub(self.offset) + skip;
        if let Some(actual) = announced.filter(|n| *n != expected) {
            let actual = actual + self.offset - skip.min(self.offset);
            return Err(Error::SizeMismatch {
                target: self.target.boxed(),
                expected: self.descriptor.size,
                actual,
            });
        }
        self.receive(reply.response, skip, sink).await
    }

    pub(crate) fn without_ranges(&mut self, what: &str) -> End {
        self.ranges = false;
        self.ahead.clear();
        End::Broken(SendError::passing(Error::protocol(self.target, what)))
    }

    async fn receive<S: BlobSink + ?Sized>(
        &mut self,
        mut response: Response,
        mut skip: u64,
        sink: &mut S,
    ) -> Result<End> {
        let inner = &self.client.inner;
        let limits = &inner.limits;
        // That the sink is slow is not the connection's fault: only waiting for this counts.
        let (mut window, mut window_bytes) = (Duration::ZERO, 0u64);
        let (mut since, mut since_bytes, mut waited) = (Instant::now(), 0u64, Duration::ZERO);
        loop {
            if since.elapsed() >= limits.ranged_after {
                if skip == 0 && self.wants_ranges(since_bytes, waited) {
                    return self.in_ranges(Some(response), sink).await;
                }
                (since, since_bytes, waited) = (Instant::now(), 0, Duration::ZERO);
            }
            let asked = Instant::now();
            let answer = inner.transport.chunk(self.target, &mut response).await;
            waited += asked.elapsed();
            window += asked.elapsed();
            let mut chunk = match answer {
                Ok(Some(chunk)) => chunk,
                Ok(None) if self.offset == self.descriptor.size => return Ok(End::Complete),
                // A connection that ends early without an error is a break like any other.
                Ok(None) => {
                    let error = Error::stalled(self.target, "the transfer broke off");
                    return Ok(End::Broken(SendError::passing(error)));
                }
                Err(error) => return Ok(End::Broken(error)),
            };
            window_bytes += chunk.len() as u64;
            since_bytes += chunk.len() as u64;
            if window >= limits.idle_timeout {
                if window_bytes < limits.slowest_bytes {
                    let error = Error::stalled(self.target, "the transfer is too slow");
                    return Ok(End::Broken(SendError::passing(error)));
                }
                (window, window_bytes) = (Duration::ZERO, 0);
            }
            let known = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            skip -= known as u64;
            let chunk = chunk.split_off(known);
            if chunk.is_empty() {
                continue;
            }
            if self.offset + chunk.len() as u64 > self.descriptor.size {
                return Err(Error::SizeMismatch {
                    target: self.target.boxed(),
                    expected: self.descriptor.size,
                    actual: self.descriptor.size + 1,
                });
            }
            self.accept(chunk, sink).await?;
        }
    }
}

/// The first byte's position in `bytes 7-99/100`.
fn range_start(header: &str) -> Option<u64> {
    header.trim().strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::range_start;

    #[test]
    fn content_ranges() {
        assert_eq!(range_start("bytes 7-99/100"), Some(7));
        assert_eq!(range_start("bytes 0-0/*"), Some(0));
        for bad in ["", "bytes */100", "7-99", "bytes x-9/10", "bytes=7-9"] {
            assert_eq!(range_start(bad), None, "{bad}");
        }
    }
}
