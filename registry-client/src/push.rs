//! Pushing blobs: what to send at all, and how often to try.
//!
//! Owns the order of attempts: is it there, can it be mounted, one PUT, and chunks where they were
//! asked for or where whole bodies do not get through. The requests of one upload are in `upload`.

use std::sync::atomic::{AtomicU64, Ordering};

use cooper_oci::{Descriptor, Digest, Reference};
use reqwest::{Method, StatusCode};

use crate::auth::Scopes;
use crate::call::{Call, target_of};
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Result, Target};
use crate::journal::Note;
use crate::notice::Notice;
use crate::retry::Attempts;
use crate::session::Session;
use crate::source::BlobSource;
use crate::upload::{Chunks, Standing, Step, Upload, begin};

/// How to push a blob.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    /// Repositories of the same registry that may hold the blob already, tried in order.
    pub mount_from: Vec<String>,
    /// Sends in chunks of this many bytes, which can be continued after a break; `None` sends one
    /// body, which more registries take, and falls back to chunks when that breaks off repeatedly.
    pub chunk_bytes: Option<u64>,
    /// The caller asked just now ([`Client::blob_exists`]), and the repository does not have it.
    pub missing: bool,
}

/// What a push had to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// Nothing: the repository had the blob.
    Existed,
    /// The registry took it from another of its repositories.
    Mounted {
        /// That repository.
        from: String,
    },
    /// The bytes were sent.
    Uploaded,
}

/// What came of asking for a mount.
enum Mount {
    Done,
    /// Refused, but an upload was begun instead.
    Opened(Session),
    Refused,
}

/// The smallest blob that is sent in chunks only because there is a journal.
const JOURNAL_FROM: u64 = 32 << 20;
/// Hosts, with all below them, that are known to take a blob only as a whole.
const WITHOUT_CHUNKS: &[&str] = &["ghcr.io", "gcr.io", "pkg.dev"];
/// Size of the chunks that replace a body that does not get through, and the least that the journal asks for.
const CHUNK_BYTES: u64 = 16 << 20;
/// The largest that it begins with.
const LARGE_CHUNK_BYTES: u64 = 64 << 20;

impl Client {
    /// Makes a repository hold a blob, by the cheapest way that works. Pushes of one blob to one
    /// repository take turns. Counts against [`crate::Limits::transfers`], so the source must not need a
    /// transfer with the same registry while it is read.
    pub async fn push_blob<S: BlobSource + ?Sized>(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        source: &S,
        options: &PushOptions,
    ) -> Result<Pushed> {
        let target = target_of(reference, &descriptor.digest);
        let endpoint = self.upstream(reference).await?;
        let worth = descriptor.size >= JOURNAL_FROM || options.chunk_bytes.is_some();
        let note = if worth { self.inner.journal.open(&endpoint, &target) } else { None };
        let mut push = Push::new(self, &endpoint, &target, note);
        let result = self.unless_cancelled(&target, push.run(descriptor, source, options)).await;
        match &result {
            Ok(_) => {
                if let Some(note) = push.note.take() {
                    note.finish();
                }
            }
            Err(error) if push.note.is_some() && self.goes_on_later(error) => push.remember(None),
            Err(_) => {
                push.abandon().await;
                if let Some(note) = &push.note {
                    note.clear();
                }
            }
        }
        result
    }

    /// Whether an upload stays for somebody to go on with: the network may be better then.
    fn goes_on_later(&self, error: &Error) -> bool {
        let stopped = error.kind() == ErrorKind::Cancelled && self.inner.uploads.keeps_resumable();
        stopped || error.kind().may_pass()
    }

    /// Asks a registry to take a blob from another of its repositories; `false` if it will not.
    pub async fn mount_blob(&self, reference: &Reference, digest: &Digest, from: &str) -> Result<bool> {
        let target = target_of(reference, digest);
        let endpoint = self.upstream(reference).await?;
        let push = Push::new(self, &endpoint, &target, None);
        let mounted = self.unless_cancelled(&target, push.mount(digest, from)).await?;
        push.abandon().await;
        Ok(matches!(mounted, Mount::Done))
    }
}

/// One push of one blob.
pub(crate) struct Push<'a> {
    pub(crate) client: &'a Client,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) target: &'a Target,
    /// Its number among the uploads of the client.
    id: u64,
    /// By which a later push can go on with it.
    note: Option<Note>,
}

impl Drop for Push<'_> {
    fn drop(&mut self) {
        self.client.inner.uploads.forsake(self.id, self.note.take());
    }
}

impl<'a> Push<'a> {
    pub(crate) fn new(
        client: &'a Client,
        endpoint: &'a Endpoint,
        target: &'a Target,
        note: Option<Note>,
    ) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Self { client, endpoint, target, id: NUMBER.fetch_add(1, Ordering::Relaxed), note }
    }
}

impl Push<'_> {
    async fn run<S: BlobSource + ?Sized>(
        &self,
        descriptor: &Descriptor,
        source: &S,
        options: &PushOptions,
    ) -> Result<Pushed> {
        let note = self.note.as_ref();
        let lock = self.client.inner.push_lock(self.target);
        let (_turn, alone) = match lock.try_lock() {
            Ok(turn) => (turn, true),
            Err(_) => (lock.lock().await, false),
        };
        if !(alone && options.missing) && self.exists(&descriptor.digest).await? {
            return Ok(Pushed::Existed);
        }
        if let Some(note) = note
            && let Some(left) = note.left(self.endpoint)
        {
            if Box::pin(self.go_on(descriptor, source, options, note, left)).await? {
                return Ok(Pushed::Uploaded);
            }
            note.clear();
        }
        let mut session = None;
        for from in options.mount_from.iter().filter(|from| **from != self.endpoint.repository) {
            match self.mount(&descriptor.digest, from).await? {
                Mount::Done => return Ok(Pushed::Mounted { from: from.clone() }),
                Mount::Opened(opened) => {
                    session = Some(opened);
                    break;
                }
                Mount::Refused => {}
            }
        }
        let slot = self.client.inner.slot(self.endpoint);
        let _permit = slot.acquire().await.map_err(|_| Error::stalled(self.target, "no transfer slot"))?;
        Box::pin(self.upload(descriptor, source, options, session.map(|s| (s, 0)), note)).await?;
        Ok(Pushed::Uploaded)
    }

    /// Goes on with an upload that an earlier push left; `false` if the registry has nothing of it.
    async fn go_on<S: BlobSource + ?Sized>(
        &self,
        descriptor: &Descriptor,
        source: &S,
        options: &PushOptions,
        note: &Note,
        mut left: Session,
    ) -> Result<bool> {
        let slot = self.client.inner.slot(self.endpoint);
        let _permit = slot.acquire().await.map_err(|_| Error::stalled(self.target, "no transfer slot"))?;
        let Standing::At(there) = self.begun(descriptor).standing(&mut left).await? else { return Ok(false) };
        if there == 0 || there > descriptor.size {
            return Ok(false);
        }
        self.client.inner.notices.tell(&Notice::Resumed {
            target: self.target.to_string(),
            at_bytes: there,
            total_bytes: descriptor.size,
        });
        self.upload(descriptor, source, options, Some((left, there)), Some(note)).await?;
        Ok(true)
    }

    /// Whether chunks are worth a try for the journal's sake.
    fn takes_chunks(&self) -> bool {
        let host = self.endpoint.base.host_str().unwrap_or_default();
        let known = WITHOUT_CHUNKS
            .iter()
            .any(|name| host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
        let unchunked = self.client.inner.unchunked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        !known && !unchunked.contains(&self.endpoint.origin())
    }

    fn takes_no_chunks(&self) {
        let mut unchunked =
            self.client.inner.unchunked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        unchunked.insert(self.endpoint.origin());
    }

    fn begun<'a>(&'a self, descriptor: &'a Descriptor) -> Upload<'a> {
        Upload {
            client: self.client,
            endpoint: self.endpoint,
            target: self.target,
            descriptor,
            reached: AtomicU64::new(0),
        }
    }

    async fn exists(&self, digest: &Digest) -> Result<bool> {
        let url = self.endpoint.url(&format!("blobs/{digest}"));
        let scopes = Scopes::push(&self.endpoint.repository);
        let call = Call::new(self.endpoint, self.target, scopes, Method::HEAD, url);
        match self.client.inner.question(&call).await {
            Ok(reply) => Ok(reply.response.status() == StatusCode::OK),
            // Some registries cannot answer this; the upload will tell what is really wrong.
            Err(Error::Status { .. } | Error::Denied { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn mount(&self, digest: &Digest, from: &str) -> Result<Mount> {
        let mut url = self.endpoint.url("blobs/uploads/");
        url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", from);
        let scopes = Scopes::push(&self.endpoint.repository).and(from, &["pull"]);
        let mut call = Call::new(self.endpoint, self.target, scopes, Method::POST, url);
        call.empty_body();
        let reply = match self.client.inner.question(&call).await {
            Ok(reply) => reply,
            // Also when the token service grants only one of the two scopes.
            Err(e) if matches!(e.kind(), ErrorKind::Auth | ErrorKind::Denied) => return Ok(Mount::Refused),
            Err(error) => return Err(error),
        };
        match reply.response.status().as_u16() {
            201 => Ok(Mount::Done),
            202 => {
                let session = Session::opened(self.endpoint, self.target, &reply)?;
                self.remember(Some(&session));
                Ok(Mount::Opened(session))
            }
            _ => Ok(Mount::Refused),
        }
    }

    /// Tries until the registry has the blob.
    async fn upload<S: BlobSource + ?Sized>(
        &self,
        descriptor: &Descriptor,
        source: &S,
        options: &PushOptions,
        mut session: Option<(Session, u64)>,
        note: Option<&Note>,
    ) -> Result<()> {
        let upload = self.begun(descriptor);
        let mut attempts: Attempts<'_> = self.client.inner.attempts(self.endpoint);
        let even = |bytes| Chunks { bytes, grow: false };
        let asked = options.chunk_bytes.filter(|n| *n > 0).map(even);
        let mut chunks = asked;
        if note.is_some() && self.takes_chunks() {
            let bytes = (descriptor.size / 24).clamp(CHUNK_BYTES, LARGE_CHUNK_BYTES);
            chunks = asked.or(Some(Chunks { bytes, grow: true }));
        }
        let moved = |session: &Session| {
            self.remember(Some(session));
            if let Some(note) = note {
                note.write(session);
            }
        };
        let (mut breaks, mut chunks_refused, mut mismatches) = (0, false, 0);
        loop {
            let (current, offset) = match session.take() {
                Some(session) => session,
                None => (begin(self.client, self.endpoint, self.target).await?, 0),
            };
            moved(&current);
            // Where a chunk may not be smaller than the blob, it is no chunk.
            let divisible =
                offset > 0 || current.least_chunk_bytes.is_none_or(|least| least < descriptor.size);
            let step = match chunks {
                Some(chunks) if !chunks_refused && divisible && descriptor.size > 0 => {
                    upload.chunked(current, source, (offset, chunks), &mut attempts, &moved).await?
                }
                _ => upload.whole(current, source).await?,
            };
            let (failure, error, paused) = match step {
                Step::Done => {
                    self.remember(None);
                    return Ok(());
                }
                Step::ChunksRefused => {
                    chunks_refused = true;
                    self.takes_no_chunks();
                    self.abandon().await;
                    continue;
                }
                Step::Failed(failure, error) => (failure, error, false),
                Step::Lost(failure, error) => (failure, error, true),
            };
            if error.answer().is_some_and(|a| a.has_code("DIGEST_INVALID")) {
                // Damaged on the way once, or the source is not what its descriptor says.
                mismatches += 1;
                if mismatches > 1 {
                    return Err(error);
                }
            }
            if error.kind() == ErrorKind::Network && !failure.unread {
                breaks += 1;
                // The registry lost what it had: chunks have no advantage here.
                self.takes_no_chunks();
                chunks = asked;
            }
            if breaks == 2 && descriptor.size > CHUNK_BYTES {
                chunks = chunks.or(Some(even(CHUNK_BYTES)));
            }
            // A session is used for one try: some registries make its address good only once.
            self.abandon().await;
            if let Some(note) = note {
                note.clear();
            }
            if !paused && !attempts.again(&failure).await {
                return Err(error);
            }
            // The answer may have been lost, but not the blob.
            if self.exists(&descriptor.digest).await? {
                return Ok(());
            }
        }
    }

    /// Notes the session that the registry keeps for us, to be given up if this goes wrong.
    pub(crate) fn remember(&self, session: Option<&Session>) {
        let uploads = &self.client.inner.uploads;
        match session {
            Some(session) => uploads.enter(self.id, self.endpoint, self.target, session),
            None => uploads.leave(self.id),
        }
    }

    /// Tells the registry to forget an unfinished upload, without waiting long for it.
    pub(crate) async fn abandon(&self) {
        let uploads = &self.client.inner.uploads;
        if let Some(session) = uploads.session(self.id) {
            let upload = self.client.delete_upload(self.endpoint, self.target, &session);
            let _ = tokio::time::timeout(std::time::Duration::from_secs(2), upload).await;
            uploads.leave(self.id);
        }
    }
}
