//! Uploads of blobs that are still being made.
//!
//! Wire: `POST …/uploads/` opens a session, one `PATCH` without a length brings the bytes as they come into being,
//! `PUT ?digest=` ends it: what Docker's own push does. There is one try; whoever is told that it failed pushes the
//! blob as any other when it is whole.

use std::io;

use bytes::Bytes;
use cooper_oci::{Digest, Reference};
use futures_util::Stream;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use crate::auth::Scopes;
use crate::call::{Call, target_of};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::push::Push;
use crate::transport::{Lane, Outgoing, Sent};
use crate::upload::begin;

impl Client {
    /// Makes a repository hold a blob whose bytes come from `stream` while it is made. `digest` is waited for when
    /// the stream has ended; without one the upload is given up. Counts against [`crate::Limits::transfers`].
    pub async fn push_unfinished(
        &self,
        reference: &Reference,
        stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        digest: impl Future<Output = Option<Digest>> + Send,
    ) -> Result<()> {
        let target = target_of(reference, "a new blob");
        let endpoint = self.upstream(reference).await?;
        let push = Push::new(self, &endpoint, &target, None);
        let result = self.unless_cancelled(&target, push.unfinished(stream, digest)).await;
        if result.is_err() {
            push.abandon().await;
        }
        result
    }
}

impl Push<'_> {
    async fn unfinished(
        &self,
        stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        digest: impl Future<Output = Option<Digest>> + Send,
    ) -> Result<()> {
        let inner = &self.client.inner;
        let slot = inner.slot(self.endpoint);
        let _permit = slot.acquire().await.map_err(|_| Error::stalled(self.target, "no transfer slot"))?;
        let mut session = begin(self.client, self.endpoint, self.target).await?;
        self.remember(Some(&session));
        let scopes = Scopes::push(&self.endpoint.repository);
        let location = session.location.clone();
        let mut call = Call::new(self.endpoint, self.target, scopes.clone(), Method::PATCH, location);
        call.lane = Lane::Bulk;
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let sent = Sent::new(None);
        let body = sent.body(Box::pin(stream));
        inner.pace(self.endpoint).await;
        let outgoing = Outgoing {
            home: self.endpoint.base.clone(),
            method: call.method.clone(),
            url: call.url.clone(),
            headers: call.all_headers(),
            authorization: inner.authorization(&call).await?.map(|a| a.bound),
            body: Some(body),
            lane: call.lane,
        };
        let reply = match inner.transport.send(self.target, outgoing, Some(&sent)).await {
            Ok(reply) => reply,
            Err(error) => {
                return Err(match sent.trouble() {
                    Some(trouble) => Error::local(self.target, "cannot read the blob to push", trouble),
                    None => error.into(),
                });
            }
        };
        if !reply.response.status().is_success() {
            return Err(inner.refuse(self.target, reply).await);
        }
        if reply.early.is_some() {
            return Err(Error::stalled(self.target, "success told before the whole body was sent"));
        }
        session.moved(self.endpoint, self.target, &reply)?;
        self.remember(Some(&session));
        let Some(digest) = digest.await else {
            return Err(Error::stalled(self.target, "the blob was not finished"));
        };
        let mut call = Call::new(self.endpoint, self.target, scopes, Method::PUT, session.ending(&digest));
        call.empty_body();
        let reply = inner.call(&call).await?;
        if !reply.response.status().is_success() {
            return Err(inner.refuse(self.target, reply).await);
        }
        self.remember(None);
        Ok(())
    }
}
