//! The requests of one blob upload.
//!
//! Wire: `POST …/uploads/` opens a session whose address is in `Location` and changes with each
//! answer; `PUT ?digest=` ends it, with the whole body or after chunks by `PATCH`. Owns the judgement
//! of these addresses: to another origin an upload goes only over TLS and without credentials. After a
//! break the registry is asked how much it has, and the source is opened again there.

use std::sync::Arc;

use bytes::Bytes;
use cooper_oci::{Descriptor, Digest};
use futures_util::{StreamExt as _, TryStreamExt as _};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE};
use reqwest::{Body, Method, StatusCode};
use url::Url;

use crate::auth::{Learned, Scopes, is_loopback};
use crate::client::{Call, Client, MAX_CHALLENGES};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result, Target};
use crate::progress::Direction;
use crate::push::at_once;
use crate::retry::{Attempts, Failure};
use crate::source::BlobSource;
use crate::transport::{Lane, Outgoing, Reply, Sent};

/// An open upload.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    location: Url,
    /// `OCI-Chunk-Min-Length`.
    least_chunk_bytes: Option<u64>,
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

    /// Takes the new address of an answer, if it has one.
    fn moved(&mut self, endpoint: &Endpoint, target: &Target, reply: &Reply) -> Result<()> {
        let next = location(endpoint, reply.response.url(), reply.response.headers())
            .map_err(|what| Error::protocol(target, what))?;
        if let Some(next) = next {
            self.location = next;
        }
        Ok(())
    }

    /// The address that ends the upload: the digest goes behind whatever query there is.
    fn ending(&self, digest: &Digest) -> Url {
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
    let mut url = from.join(text).map_err(|_| "upload location is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("upload location is not http");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("upload location has a user name");
    }
    let base = &endpoint.base;
    if url.origin() == base.origin() || base.scheme() == "http" && url.scheme() == "https" {
        return Ok(Some(url));
    }
    if url.scheme() == "http" && base.scheme() == "https" {
        // A registry that does not know of the TLS proxy before it.
        let same = url.host() == base.host() && (url.port().is_none() || url.port() == base.port());
        if !same || url.set_scheme("https").is_err() || url.set_port(base.port()).is_err() {
            return Err("upload location without TLS refused");
        }
        return Ok(Some(url));
    }
    let local = |u: &Url| u.host().is_some_and(|h| is_loopback(&h));
    if url.scheme() == "http" && !(local(base) && local(&url)) {
        return Err("upload location on another host without TLS refused");
    }
    if local(&url) && !local(base) {
        return Err("upload location on this machine refused");
    }
    Ok(Some(url))
}

/// How one try of an upload ended.
pub(crate) enum Step {
    Done,
    /// The registry takes no chunks.
    ChunksRefused,
    /// Another try may help.
    Failed(Failure, Error),
}

/// What all requests of an upload share.
pub(crate) struct Upload<'a> {
    pub(crate) client: &'a Client,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) target: &'a Target,
    pub(crate) descriptor: &'a Descriptor,
}

/// Where a chunked upload stands after asking the registry.
enum Standing {
    At(u64),
    /// The session is gone or its state unknown.
    Lost,
}

impl Upload<'_> {
    fn call(&self, method: Method, url: Url) -> Call<'_> {
        Call::new(self.endpoint, self.target, Scopes::push(&self.target.repository), method, url)
    }

    /// Opens a session.
    pub(crate) async fn begin(&self) -> Result<Session> {
        let url = self.endpoint.url(&format!("{}/blobs/uploads/", self.target.repository));
        let mut call = self.call(Method::POST, url);
        call.empty_body();
        let reply = self.client.inner.call(&call).await?;
        if reply.response.status() != StatusCode::ACCEPTED {
            return Err(self.client.inner.refuse(self.target, reply).await);
        }
        Session::opened(self.endpoint, self.target, &reply)
    }

    /// Sends everything as one body.
    pub(crate) async fn whole<S: BlobSource + ?Sized>(&self, session: Session, source: &S) -> Result<Step> {
        let size = self.descriptor.size;
        let url = session.ending(&self.descriptor.digest);
        let reply = match self.send(Method::PUT, url, HeaderMap::new(), source, 0..size).await? {
            Ok(reply) => reply,
            Err(step) => return Ok(step),
        };
        match reply.response.status().as_u16() {
            200..=299 => {
                self.client.observe(Direction::Push, &self.descriptor.digest, size, size);
                Ok(Step::Done)
            }
            // The session is gone or not where we thought: a new one may do.
            404 | 416 => Ok(Step::Failed(at_once(), self.client.inner.refuse(self.target, reply).await)),
            _ => self.judge(reply).await,
        }
    }

    /// Sends chunk by chunk, and goes on where the registry says after a break.
    pub(crate) async fn chunked<S: BlobSource + ?Sized>(
        &self,
        mut session: Session,
        source: &S,
        chunk_bytes: u64,
        attempts: &mut Attempts<'_>,
        moved: &(dyn Fn(&Session) + Sync),
    ) -> Result<Step> {
        let size = self.descriptor.size;
        // An absurd minimum means one chunk.
        let chunk_bytes = chunk_bytes.max(session.least_chunk_bytes.unwrap_or(0));
        let mut offset = 0;
        while offset < size {
            let end = offset.saturating_add(chunk_bytes).min(size);
            let mut headers = HeaderMap::new();
            let range = HeaderValue::try_from(format!("{offset}-{}", end - 1));
            headers.extend(range.ok().map(|value| (CONTENT_RANGE, value)));
            let sent =
                self.send(Method::PATCH, session.location.clone(), headers, source, offset..end).await?;
            let (failure, error) = match sent {
                Ok(reply) => match reply.response.status().as_u16() {
                    200..=299 => {
                        session.moved(self.endpoint, self.target, &reply)?;
                        moved(&session);
                        offset = accepted(&reply, offset, end);
                        attempts.progress();
                        self.client.observe(Direction::Push, &self.descriptor.digest, offset, size);
                        continue;
                    }
                    404 | 405 | 501 | 400 | 411 | 413 if offset == 0 => return Ok(Step::ChunksRefused),
                    416 => (at_once(), self.client.inner.refuse(self.target, reply).await),
                    _ => match self.judge(reply).await? {
                        Step::Failed(failure, error) => (failure, error),
                        other => return Ok(other),
                    },
                },
                Err(Step::Failed(failure, error)) => (failure, error),
                Err(other) => return Ok(other),
            };
            if !attempts.again(&failure).await {
                return Err(error);
            }
            match self.standing(&mut session).await? {
                Standing::At(there) if there <= size => {
                    moved(&session);
                    offset = there;
                }
                _ => return Ok(Step::Failed(at_once(), error)),
            }
        }
        self.end(session).await
    }

    /// Ends a chunked upload.
    async fn end(&self, session: Session) -> Result<Step> {
        let mut call = self.call(Method::PUT, session.ending(&self.descriptor.digest));
        call.empty_body();
        let reply = self.client.inner.call(&call).await?;
        match reply.response.status().as_u16() {
            200..=299 => Ok(Step::Done),
            404 | 416 => Ok(Step::Failed(at_once(), self.client.inner.refuse(self.target, reply).await)),
            _ => self.judge(reply).await,
        }
    }

    /// Asks how many bytes the registry has.
    async fn standing(&self, session: &mut Session) -> Result<Standing> {
        let call = self.call(Method::GET, session.location.clone());
        let reply = match self.client.inner.call(&call).await {
            Ok(reply) => reply,
            Err(Error::Status { .. } | Error::NotFound { .. }) => return Ok(Standing::Lost),
            Err(error) => return Err(error),
        };
        if !reply.response.status().is_success() {
            return Ok(Standing::Lost);
        }
        session.moved(self.endpoint, self.target, &reply)?;
        Ok(match range_end(reply.response.headers()) {
            // `0-0` is one byte, or none: too little to be worth knowing.
            Some(0) | None => Standing::Lost,
            Some(last) => Standing::At(last + 1),
        })
    }

    /// Sends a part of the source; the inner error is a try that failed.
    async fn send<S: BlobSource + ?Sized>(
        &self,
        method: Method,
        url: Url,
        mut headers: HeaderMap,
        source: &S,
        part: std::ops::Range<u64>,
    ) -> Result<Result<Reply, Step>> {
        let inner = &self.client.inner;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
        let mut call = self.call(method, url);
        call.lane = Lane::Bulk;
        let mut challenges = 0;
        let mut learned = None;
        loop {
            inner.pace(self.endpoint).await;
            let authorization = match learned.take() {
                Some(authorization) => Some(authorization),
                None => inner.authorization(&call).await?,
            };
            let sent = Arc::new(Sent::default());
            let outgoing = Outgoing {
                method: call.method.clone(),
                url: call.url.clone(),
                headers: headers.clone(),
                authorization: authorization.as_ref().map(|a| a.header.clone()),
                body: Some(self.body(source, part.clone(), sent.clone()).await?),
                lane: call.lane,
            };
            let reply = match inner.transport.send(self.target, outgoing, Some(&sent)).await {
                Ok(reply) => reply,
                Err(error) => {
                    return match error.failure() {
                        Some(failure) => Ok(Err(Step::Failed(failure, error.into()))),
                        None => Err(error.into()),
                    };
                }
            };
            if reply.response.status() != 401
                || reply.foreign
                || call.url.origin() != self.endpoint.base.origin()
            {
                return Ok(Ok(reply));
            }
            if challenges == MAX_CHALLENGES {
                return Err(inner.still_refused(self.target, reply, authorization.as_ref()).await);
            }
            challenges += 1;
            let answer_headers = reply.response.headers().clone();
            match inner.learn(&call, &answer_headers, authorization.as_ref()).await? {
                // What was refused for its token was not taken in: the same bytes, again.
                Learned::Retry(authorization) => learned = Some(authorization),
                Learned::GiveUp(why) => return Err(inner.unauthorized(self.target, reply, why).await),
            }
        }
    }

    async fn body<S: BlobSource + ?Sized>(
        &self,
        source: &S,
        part: std::ops::Range<u64>,
        sent: Arc<Sent>,
    ) -> Result<Body> {
        let stream = source
            .open(part.start)
            .await
            .map_err(|e| Error::local(self.target, "cannot read the blob to push", e))?;
        let client = self.client.clone();
        let (digest, total) = (self.descriptor.digest.clone(), self.descriptor.size);
        let (start, mut left) = (part.start, part.end - part.start);
        let stream = stream.map_ok(move |mut bytes: Bytes| {
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= bytes.len() as u64;
            sent.add(bytes.len());
            client.observe(Direction::Push, &digest, start + sent.count(), total);
            bytes
        });
        // The rest of the source is not read: a chunk ends in the middle of it.
        let mut open = part.end - part.start;
        let stream = stream.take_while(move |next| {
            let more = open > 0;
            open -= next.as_ref().map_or(0, |bytes| bytes.len() as u64).min(open);
            std::future::ready(more)
        });
        Ok(Body::wrap_stream(stream))
    }

    /// What an answer that no upload hopes for means.
    async fn judge(&self, reply: Reply) -> Result<Step> {
        let inner = &self.client.inner;
        let failure = Failure::of_answer(reply.response.status(), reply.response.headers());
        if let Some(failure) = &failure {
            inner.slow_down(self.endpoint, failure);
        }
        let error = inner.refuse(self.target, reply).await;
        let damaged = error.answer().is_some_and(|a| a.has_code("DIGEST_INVALID"));
        match failure.or(damaged.then(at_once)) {
            Some(failure) => Ok(Step::Failed(failure, error)),
            None => Err(error),
        }
    }
}

impl Client {
    /// Tells a registry to forget an upload.
    pub(crate) async fn delete_upload(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        session: &Session,
    ) -> Result<()> {
        let scopes = Scopes::push(&target.repository);
        let call = Call::new(endpoint, target, scopes, Method::DELETE, session.location.clone());
        self.inner.call(&call).await.map(drop)
    }
}

/// Where the next chunk begins: what the registry says if it can be true, else what we sent.
fn accepted(reply: &Reply, offset: u64, end: u64) -> u64 {
    match range_end(reply.response.headers()) {
        Some(last) if last >= offset && last < end && last > 0 => last + 1,
        _ => end,
    }
}

/// The last byte's position in `Range: 0-99` (some say `bytes=0-99`).
fn range_end(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RANGE)?.to_str().ok()?.trim();
    let last = text.strip_prefix("bytes=").unwrap_or(text).strip_prefix("0-")?;
    last.parse::<u64>().ok().filter(|last| *last < u64::MAX)
}

#[cfg(test)]
#[path = "upload_tests.rs"]
mod tests;
