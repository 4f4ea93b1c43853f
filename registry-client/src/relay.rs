//! A blob of one registry as the source of a push to another.
//!
//! Owns the stream between them: nothing is stored, a break is continued by `Range` where it was, and what
//! was read from the start is hashed on the way, so that a wrong blob is known before its upload ends.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use cooper_oci::{Descriptor, Hasher, Reference};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::time::Instant;

use crate::auth::Scopes;
use crate::call::{Call, target_of};
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result, Target};
use crate::hosts::Access;
use crate::limits::Limits;
use crate::places::Fallen;
use crate::retry::Failure;
use crate::source::{BlobSource, ByteStream};
use crate::transport::{Lane, SendError};

/// A blob that is streamed from its registry each time it is opened. It takes no place among the transfers
/// of its registry ([`crate::Limits::transfers`]): it counts as part of the push that reads it.
#[derive(Debug, Clone)]
pub struct RegistrySource {
    client: Client,
    reference: Reference,
    descriptor: Descriptor,
}

impl RegistrySource {
    /// The blob `descriptor` of the reference's repository.
    pub fn new(client: Client, reference: Reference, descriptor: Descriptor) -> Self {
        Self { client, reference, descriptor }
    }
}

impl BlobSource for RegistrySource {
    async fn open(&self, offset: u64) -> io::Result<ByteStream> {
        let reading = Reading {
            source: self.clone(),
            target: target_of(&self.reference, &self.descriptor.digest),
            at: offset,
            endpoints: Vec::new(),
            place: 0,
            answer: None,
            ranges: true,
            waited: Duration::ZERO,
            came: 0,
            hasher: (offset == 0).then(|| self.descriptor.digest.hasher()),
        };
        Ok(Box::pin(futures_util::stream::try_unfold(reading, Reading::next)))
    }
}

struct Reading {
    source: RegistrySource,
    target: Target,
    /// Bytes given out so far, counted from the blob's start.
    at: u64,
    /// Where to ask, and which of them is asked now.
    endpoints: Vec<Endpoint>,
    place: usize,
    answer: Option<(Response, u64)>,
    /// Whether to ask for the rest only; not after a server made a mess of it.
    ranges: bool,
    /// How long the registry was waited for lately, and what came meanwhile.
    waited: Duration,
    came: u64,
    /// None if the stream did not begin at the start.
    hasher: Option<Hasher>,
}

impl Reading {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        match self.chunk().await {
            Ok(Some(bytes)) => Ok(Some((bytes, self))),
            Ok(None) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let client = self.source.client.clone();
        if self.endpoints.is_empty() {
            self.endpoints = client.endpoints(&self.source.reference, Access::Pull).await?;
        }
        let target = self.target.clone();
        let mut fallen = Fallen::new(&client, &target);
        loop {
            let Some(endpoint) = self.endpoints.get(self.place).cloned() else {
                return Err(Error::protocol(&self.target, "no place is set up for this registry"));
            };
            match self.chunk_from(&client, &endpoint).await {
                Err(error) => {
                    self.answer = None;
                    fallen.through(&self.endpoints, self.place, error)?;
                    self.place += 1;
                }
                done => return done,
            }
        }
    }

    async fn chunk_from(&mut self, client: &Client, endpoint: &Endpoint) -> Result<Option<Bytes>> {
        let size = self.source.descriptor.size;
        let mut attempts = client.inner.attempts(endpoint);
        loop {
            if self.at >= size {
                return Ok(None);
            }
            let (mut response, mut skip) = match self.answer.take() {
                Some(answer) => answer,
                None => self.ask(client, endpoint).await?,
            };
            let asked = Instant::now();
            let chunk = client.inner.transport.chunk(&self.target, &mut response).await;
            // Where it goes to may take its time.
            self.waited += asked.elapsed();
            let (failure, error) = match chunk {
                Ok(Some(chunk)) if self.drips(&chunk, &client.inner.limits) => {
                    (Failure::default(), Error::stalled(&self.target, "the transfer is too slow"))
                }
                Ok(Some(mut chunk)) => {
                    let known = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
                    skip -= known as u64;
                    let chunk = chunk.split_off(known);
                    self.answer = Some((response, skip));
                    if chunk.is_empty() {
                        continue;
                    }
                    if self.at + chunk.len() as u64 > size {
                        let target = self.target.boxed();
                        return Err(Error::SizeMismatch { target, expected: size, actual: size + 1 });
                    }
                    self.at += chunk.len() as u64;
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&chunk);
                    }
                    // Known to be right before the last of it is given out: a push ends with it.
                    if self.at == size {
                        self.verify()?;
                    }
                    return Ok(Some(chunk));
                }
                Ok(None) => (Failure::default(), Error::stalled(&self.target, "the transfer broke off")),
                Err(error) => match error.failure() {
                    Some(failure) => (failure, error.into()),
                    None => return Err(error.into()),
                },
            };
            if !attempts.again(&failure).await {
                return Err(error);
            }
        }
    }

    /// Whether too little came in the time that a registry has for it.
    fn drips(&mut self, chunk: &Bytes, limits: &Limits) -> bool {
        self.came += chunk.len() as u64;
        if self.waited < limits.idle_timeout {
            return false;
        }
        self.waited = Duration::ZERO;
        std::mem::take(&mut self.came) < limits.slowest_bytes
    }

    fn verify(&mut self) -> Result<()> {
        let expected = &self.source.descriptor.digest;
        match self.hasher.take().map(Hasher::finish) {
            Some(actual) if actual != *expected => {
                let expected = expected.clone();
                Err(Error::DigestMismatch { target: self.target.boxed(), expected, actual })
            }
            _ => Ok(()),
        }
    }

    /// Asks for the rest, and says how many bytes of the answer are known already.
    async fn ask(&mut self, client: &Client, endpoint: &Endpoint) -> Result<(Response, u64)> {
        let inner = &client.inner;
        let url = endpoint.url(&format!("blobs/{}", self.source.descriptor.digest));
        let scopes = Scopes::pull(&endpoint.repository);
        let target = self.target.clone();
        let mut call = Call::new(endpoint, &target, scopes, Method::GET, url);
        call.lane = Lane::Bulk;
        call.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if self.at > 0 && self.ranges {
            let range = HeaderValue::try_from(format!("bytes={}-", self.at));
            call.headers.extend(range.ok().map(|value| (RANGE, value)));
        }
        let mut attempts = inner.attempts(endpoint);
        loop {
            let reply = inner.call(&call).await?;
            let headers = reply.response.headers();
            if reply.response.status().is_success()
                && headers.get(CONTENT_ENCODING).is_some_and(|e| e.as_bytes() != b"identity")
            {
                return Err(Error::protocol(&self.target, "the blob comes with a content encoding"));
            }
            match reply.response.status() {
                StatusCode::OK => return Ok((reply.response, self.at)),
                StatusCode::PARTIAL_CONTENT => {
                    let wanted = format!("bytes {}-", self.at);
                    let range = headers.get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
                    if range.is_some_and(|r| r.trim().starts_with(&wanted)) {
                        return Ok((reply.response, 0));
                    }
                    let what = "answer has another range than was asked for";
                    if !self.without_ranges(&mut call) {
                        return Err(Error::protocol(&self.target, what));
                    }
                }
                StatusCode::RANGE_NOT_SATISFIABLE if self.without_ranges(&mut call) => {}
                // A signed link may have expired between redirect and use; the registry gives a new one.
                StatusCode::FORBIDDEN if reply.foreign => {
                    let error = SendError::passing(inner.refuse(&self.target, reply).await);
                    if !attempts.again(&Failure::default()).await {
                        return Err(error.into());
                    }
                }
                _ => return Err(inner.refuse(&self.target, reply).await),
            }
        }
    }

    /// From now on asks for the whole, of which what is known is passed over; `false` if that was asked for.
    fn without_ranges(&mut self, call: &mut Call<'_>) -> bool {
        call.headers.remove(RANGE);
        std::mem::replace(&mut self.ranges, false)
    }
}
