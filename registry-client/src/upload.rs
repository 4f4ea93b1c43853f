//! The requests of one blob upload.
//!
//! Wire: `POST …/uploads/` opens a session, `PUT ?digest=` ends it, with the whole body or after chunks
//! by `PATCH`. After a break the registry is asked how much it has, and the source is opened again
//! there. A 401 is answered within [`Upload::send`], as its body cannot be kept for a second try.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cooper_oci::{Descriptor, Digest};
use futures_util::StreamExt as _;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Body, Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use crate::auth::{Authorization, Learned, Scopes};
use crate::call::{Call, Challenges};
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result, Target};
use crate::progress::Direction;
use crate::retry::{Attempts, Failure};
use crate::session::{Session, accepted, range_end};
use crate::source::{BlobSource, ByteStream};
use crate::transport::{Lane, Outgoing, Reply, Sent};

/// How one try of an upload ended.
pub(crate) enum Step {
    Done,
    /// The registry takes no chunks.
    ChunksRefused,
    /// Another try may help.
    Failed(Failure, Error),
    /// The same, in a new session; it was paused for already.
    Lost(Failure, Error),
}

/// How much goes into each request of a chunked upload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunks {
    /// Bytes of the first.
    pub(crate) bytes: u64,
    /// Whether others may be as large as the connection is fast: registries sync what they have at the end of each.
    pub(crate) grow: bool,
}

/// How long a chunk that grew should take: no more than that is lost with it.
const CHUNK_MILLIS: u64 = 2000;

/// What all requests of an upload share.
pub(crate) struct Upload<'a> {
    pub(crate) client: &'a Client,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) target: &'a Target,
    pub(crate) descriptor: &'a Descriptor,
    /// The furthest that any session of this upload came.
    pub(crate) reached: AtomicU64,
}

/// Where a chunked upload stands after asking the registry.
pub(crate) enum Standing {
    At(u64),
    /// The session is gone or its state unknown.
    Lost,
}

/// Opens a session.
pub(crate) async fn begin(client: &Client, endpoint: &Endpoint, target: &Target) -> Result<Session> {
    let url = endpoint.url("blobs/uploads/");
    let mut call = Call::new(endpoint, target, Scopes::push(&endpoint.repository), Method::POST, url);
    call.empty_body();
    let reply = client.inner.call(&call).await?;
    if reply.response.status() != StatusCode::ACCEPTED {
        return Err(client.inner.refuse(target, reply).await);
    }
    Session::opened(endpoint, target, &reply)
}

impl Upload<'_> {
    fn call(&self, method: Method, url: Url) -> Call<'_> {
        Call::new(self.endpoint, self.target, Scopes::push(&self.endpoint.repository), method, url)
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
            404 | 416 => {
                Ok(Step::Failed(Failure::default(), self.client.inner.refuse(self.target, reply).await))
            }
            _ => self.judge(reply).await,
        }
    }

    /// Sends chunk by chunk from an offset on, and goes on where the registry says after a break.
    pub(crate) async fn chunked<S: BlobSource + ?Sized>(
        &self,
        mut session: Session,
        source: &S,
        (mut offset, chunks): (u64, Chunks),
        attempts: &mut Attempts<'_>,
        moved: &(dyn Fn(&Session) + Sync),
    ) -> Result<Step> {
        let size = self.descriptor.size;
        // An absurd minimum means one chunk.
        let least = chunks.bytes.max(session.least_chunk_bytes.unwrap_or(0));
        let (mut chunk_bytes, mut grow) = (least, chunks.grow);
        while offset < size {
            let begun = Instant::now();
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
                        if grow {
                            let millis =
                                u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
                            let fitting = (end - offset).saturating_mul(CHUNK_MILLIS) / millis;
                            chunk_bytes = fitting.max(least);
                        }
                        offset = accepted(&reply, offset, end);
                        self.reach(offset, attempts);
                        self.client.observe(Direction::Push, &self.descriptor.digest, offset, size);
                        continue;
                    }
                    // Something on the way takes no larger ones.
                    413 if chunk_bytes > least => {
                        (chunk_bytes, grow) = (least, false);
                        (Failure::default(), self.client.inner.refuse(self.target, reply).await)
                    }
                    404 | 405 | 501 | 400 | 411 | 413 if offset == 0 => return Ok(Step::ChunksRefused),
                    404 | 416 => (Failure::default(), self.client.inner.refuse(self.target, reply).await),
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
                    self.reach(offset, attempts);
                }
                _ => return Ok(Step::Lost(failure, error)),
            }
        }
        self.end(session).await
    }

    /// Counts as progress only what no earlier session reached, or a registry that loses each session after its
    /// first chunk would be served for ever.
    fn reach(&self, offset: u64, attempts: &mut Attempts<'_>) {
        if self.reached.fetch_max(offset, Ordering::Relaxed) < offset {
            attempts.progress();
        }
    }

    /// Ends a chunked upload.
    async fn end(&self, session: Session) -> Result<Step> {
        let mut call = self.call(Method::PUT, session.ending(&self.descriptor.digest));
        call.empty_body();
        let reply = self.client.inner.call(&call).await?;
        match reply.response.status().as_u16() {
            200..=299 => Ok(Step::Done),
            404 | 416 => {
                Ok(Step::Failed(Failure::default(), self.client.inner.refuse(self.target, reply).await))
            }
            _ => self.judge(reply).await,
        }
    }

    /// Asks how many bytes the registry has.
    pub(crate) async fn standing(&self, session: &mut Session) -> Result<Standing> {
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
        call.headers = headers;
        call.lane = Lane::Bulk;
        let mut challenges = Challenges::default();
        let mut learned = None;
        loop {
            inner.pace(self.endpoint).await;
            let authorization = match learned.take() {
                Some(authorization) => Some(authorization),
                None => inner.authorization(&call).await?,
            };
            let sent = Sent::new(Some(part.end - part.start));
            let outgoing = Outgoing {
                home: self.endpoint.base.clone(),
                method: call.method.clone(),
                url: call.url.clone(),
                headers: call.all_headers(),
                authorization: authorization.as_ref().map(|a| a.bound.clone()),
                body: Some(self.body(source, part.clone(), &sent).await?),
                lane: call.lane,
            };
            let reply = match inner.transport.send(self.target, outgoing, Some(&sent)).await {
                Ok(reply) => reply,
                Err(error) => {
                    if let Some(trouble) = sent.trouble() {
                        return Err(Error::local(self.target, "cannot read the blob to push", trouble));
                    }
                    return match error.failure() {
                        Some(failure) => Ok(Err(Step::Failed(failure, error.into()))),
                        None => Err(error.into()),
                    };
                }
            };
            if reply.early.is_some() && reply.response.status().is_success() {
                // It cannot be true of what it does not have; what it has, the next try will ask.
                let error = Error::stalled(self.target, "success told before the whole body was sent");
                return Ok(Err(Step::Failed(Failure::default(), error)));
            }
            if reply.response.status() != 401 || reply.foreign || !call.is_home() {
                return Ok(Ok(reply));
            }
            if !challenges.answer(authorization.as_ref().map(Authorization::age)) {
                return Err(inner.still_refused(&call, reply, authorization.as_ref()).await);
            }
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
        sent: &Arc<Sent>,
    ) -> Result<Body> {
        let stream = source
            .open(part.start)
            .await
            .map_err(|e| Error::local(self.target, "cannot read the blob to push", e))?;
        let feed = Feed {
            stream,
            left: part.end - part.start,
            at: part.start,
            total: self.descriptor.size,
            digest: self.descriptor.digest.clone(),
            client: self.client.clone(),
        };
        Ok(sent.body(Box::pin(futures_util::stream::try_unfold(feed, Feed::next))))
    }

    /// What an answer that no upload hopes for means.
    async fn judge(&self, reply: Reply) -> Result<Step> {
        let inner = &self.client.inner;
        let status = reply.response.status();
        let mut failure = Failure::of_answer(status, reply.response.headers());
        if let Some(failure) = &mut failure {
            // Gateways answer early, too, when a body takes too long for them.
            failure.unread = reply.early.is_some() && !matches!(status.as_u16(), 408 | 502 | 504);
            inner.slow_down(self.endpoint, failure);
        }
        let error = inner.refuse(self.target, reply).await;
        let damaged = error.answer().is_some_and(|a| a.has_code("DIGEST_INVALID"));
        match failure.or(damaged.then(Failure::default)) {
            Some(failure) => Ok(Step::Failed(failure, error)),
            None => Err(error),
        }
    }
}

/// The body of one request, read from its source.
struct Feed {
    stream: ByteStream,
    /// Bytes of this request that are still to come.
    left: u64,
    /// Position in the blob.
    at: u64,
    total: u64,
    digest: Digest,
    client: Client,
}

impl Feed {
    /// The next bytes; nothing more once the part is complete, though the source may go on.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut bytes = match self.stream.next().await {
            Some(Ok(bytes)) => bytes,
            Some(Err(error)) => return Err(error),
            None => {
                let what = "it is shorter than its descriptor says";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
            }
        };
        bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= bytes.len() as u64;
        self.at += bytes.len() as u64;
        self.client.observe(Direction::Push, &self.digest, self.at, self.total);
        Ok(Some((bytes, self)))
    }
}

impl Client {
    /// Tells a registry to forget an upload. Debian's refuses where a request broke off in the middle of its body: it
    /// has more then than our address of the upload knows of.
    pub(crate) async fn delete_upload(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        session: &Session,
    ) -> Result<()> {
        let scopes = Scopes::push(&endpoint.repository);
        let call = Call::new(endpoint, target, scopes, Method::DELETE, session.location.clone());
        self.inner.call(&call).await.map(drop)
    }
}
