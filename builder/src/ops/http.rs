//! ADD of a URL, and HTTP contexts: a file in the content store.
//!
//! `steps/http-<hash of the URL>` remembers what the server said of its last body, as JSON: digest, validators, name.
//! While that blob is in the store, the server is asked only whether it changed. With `--checksum` nothing is asked
//! while the blob is there, and nothing is fetched before a step needs the file.

mod body;

use std::os::fd::AsFd as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cooper_frontend::graph::HttpOp;
use cooper_oci::Digest;
use cooper_snapshotter::Store;
use cooper_sys::fs;
use reqwest::header::{ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use serde::{Deserialize, Serialize};
use url::Url;

use self::body::Body;
use crate::error::{BuildError, Kind};
use crate::event::StepState;
use crate::remote::headers::{disposition_name, is_file_name, is_strong, parse_date};
use crate::remote::http::{Answer, Budget, Get, HttpError};
use crate::remote::{Fetcher, Scratch, host_names, percent_decoded, redacted};
use crate::solver::key::Inputs;
use crate::task;

/// A file whose name neither URL nor server say.
const UNNAMED: &str = "__unnamed__";
/// BuildKit's time of files whose server says none.
const NO_TIME: i64 = 0;
/// Failures in a row without a byte gained.
const TRIES: u32 = 4;
/// A body may come in so many parts.
const MAX_PARTS: u32 = 100;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// A file that is in the content store, or can be fetched into it.
#[derive(Debug)]
pub struct Download {
    url: String,
    /// Its content.
    pub digest: Digest,
    /// Its name.
    pub name: String,
    /// Part of the key, as `Last-Modified` says it; not with `--checksum`.
    last_modified: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Unix seconds.
    mtime: Option<i64>,
    /// The bytes were hashed in this process.
    verified: bool,
}

/// What is remembered of a URL.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Known {
    digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    /// From `Content-Disposition`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// Finds out what a URL holds; fetches it unless it is known.
pub async fn resolve(fetcher: &Fetcher, op: &HttpOp) -> Result<(Download, StepState), BuildError> {
    let url = parse(&op.url)?;
    let store = &fetcher.session.store;
    if let Some(checksum) = &op.checksum {
        let known = recall(store, &op.url).filter(|known| known.digest == *checksum);
        let download = Download {
            url: op.url.clone(),
            digest: checksum.clone(),
            name: name_of(op, known.as_ref()),
            last_modified: None,
            state: Mutex::new(State { mtime: known.as_ref().map(mtime_of), verified: false }),
        };
        return Ok((download, StepState::Hit));
    }
    let (known, state) = fetch(fetcher, &op.url, &url, None).await?;
    let download = Download {
        url: op.url.clone(),
        digest: known.digest.clone(),
        name: name_of(op, Some(&known)),
        last_modified: known.last_modified.clone(),
        state: Mutex::new(State {
            mtime: Some(mtime_of(&known)),
            verified: matches!(state, StepState::Miss { .. }),
        }),
    };
    Ok((download, state))
}

impl Download {
    /// Adds what counts for the key of a step that copies the file.
    pub fn key_inputs(&self, inputs: &mut Inputs) {
        inputs.add(format!("content of {}", self.name), self.digest.as_str());
        if let Some(time) = &self.last_modified {
            inputs.add(format!("time of {}", self.name), time);
        }
    }

    /// Its URL for people.
    pub fn shown(&self) -> String {
        parse(&self.url).map_or_else(|_| String::new(), |url| redacted(&url))
    }

    /// When it was last changed, Unix seconds, as far as the server said it. Call [`bring`](Self::bring) first.
    pub fn changed(&self) -> Option<i64> {
        self.state().mtime.filter(|time| *time != NO_TIME)
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_state(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Makes sure that the file is in the store, and whole.
    pub async fn bring(&self, fetcher: &Fetcher) -> Result<(), BuildError> {
        let state = self.state();
        if state.verified {
            return Ok(());
        }
        let (session, digest) = (fetcher.session.clone(), self.digest.clone());
        let whole = task::blocking("verify a download", move || {
            let there = session.store.has_blob(&digest)?.is_some();
            Ok(there && session.store.verify_blob(&digest).is_ok())
        })
        .await?;
        let mut mtime = state.mtime;
        if !whole {
            let url = parse(&self.url)?;
            let (known, _) = fetch(fetcher, &self.url, &url, Some(&self.digest)).await?;
            mtime = Some(mtime_of(&known));
        }
        self.set_state(State { mtime: Some(mtime.unwrap_or(NO_TIME)), verified: true });
        Ok(())
    }

    /// Lays the file out in a directory of its own, as a step sees it. Call [`bring`](Self::bring) first.
    pub fn lay_out(&self, store: &Store) -> Result<Scratch, BuildError> {
        let dir = Scratch::new(store, "download")?;
        let blob = store.open_blob(&self.digest)?;
        let length = fs::fstat(&blob)?.size;
        let root = fs::open_dir(dir.path())?;
        let file = fs::create_file_at(&root, &self.name, 0o600)?;
        fs::copy_file(blob.as_fd(), file.as_fd(), length)?;
        fs::chmod_fd(&file, 0o600)?;
        fs::utimens_at(&root, &self.name, (self.state().mtime.unwrap_or(NO_TIME), 0))?;
        Ok(dir)
    }
}

fn parse(text: &str) -> Result<Url, BuildError> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()).ok_or_else(
        || {
            BuildError::user("a URL to download is malformed")
                .hint("it must be http://HOST/PATH or https://HOST/PATH")
        },
    )
}

fn step_name(url: &str) -> String {
    format!("http-{}", blake3::hash(url.as_bytes()).to_hex())
}

/// What is known of a URL. Anything unreadable is unknown.
fn recall(store: &Store, url: &str) -> Option<Known> {
    serde_json::from_slice(&store.get_step(&step_name(url)).ok()??).ok()
}

/// Asks the server, and downloads unless it says that nothing changed. One process at a time asks for one URL.
/// With `wanted`, a download of other content is refused.
async fn fetch(
    fetcher: &Fetcher,
    text: &str,
    url: &Url,
    wanted: Option<&Digest>,
) -> Result<(Known, StepState), BuildError> {
    let lock = {
        let (session, name) = (fetcher.session.clone(), step_name(text));
        let lock = task::blocking("lock a URL", move || Ok(session.store.lock_step(&name)?));
        fetcher.unless_cancelled(lock).await?
    };
    let store = &fetcher.session.store;
    let mut known = recall(store, text);
    if let Some(found) = &known {
        let there = store.has_blob(&found.digest)?.is_some();
        // Whoever had the lock before us may have fetched what we want.
        if wanted == Some(&found.digest) && there && store.verify_blob(&found.digest).is_ok() {
            return Ok((found.clone(), StepState::Hit));
        }
        if wanted.is_some() || !there {
            known = None;
        }
    }
    let request = Get {
        url: bare(url),
        authorization: authorization(fetcher, url)?,
        headers: known.as_ref().map(conditions).unwrap_or_default(),
    };
    let work = async {
        let mut pause = FIRST_PAUSE;
        let (mut partial, mut reached, mut failures) = (None, 0, 0);
        for _ in 0..MAX_PARTS {
            match once(fetcher, &request, known.as_ref(), wanted, &mut partial).await {
                Ok(done) => return Ok(done),
                Err(Failed::Http(e)) if e.may_pass() => {
                    let written = partial.as_ref().map_or(0, Body::written);
                    if written > reached {
                        (reached, failures, pause) = (written, 0, FIRST_PAUSE);
                    }
                    failures += 1;
                    if failures == TRIES {
                        return Err(refused(url, e));
                    }
                    tokio::time::sleep(pause).await;
                }
                Err(Failed::Http(e)) => return Err(refused(url, e)),
                Err(Failed::Build(e)) => return Err(e),
                Err(Failed::Mismatch { found }) => {
                    let wanted = wanted.map_or("", Digest::as_str);
                    let message =
                        format!("digest mismatch for {}: {found} (expected: {wanted})", redacted(url));
                    return Err(BuildError::user(message).hint("the file changed, or --checksum is wrong"));
                }
            }
            pause *= 2;
        }
        let message = format!("the download of {} broke off {MAX_PARTS} times", redacted(url));
        Err(BuildError::new(Kind::Remote, message))
    };
    let fresh = fetcher.unless_cancelled(work).await?;
    let Some(fresh) = fresh else {
        let known = known.ok_or_else(|| BuildError::new(Kind::Internal, "an unknown file did not change"))?;
        return Ok((known, StepState::Hit));
    };
    let reason = match &known {
        None => "not downloaded before",
        Some(old) if old.digest == fresh.digest => "the server does not say whether it changed",
        Some(_) => "it changed on the server",
    };
    let (session, name, record) = (fetcher.session.clone(), step_name(text), fresh.clone());
    task::blocking("remember a URL", move || {
        let bytes = serde_json::to_vec(&record)
            .map_err(|e| BuildError::new(Kind::Internal, "a record cannot be written").caused_by(e))?;
        session.store.put_step(&name, &bytes)?;
        drop(lock);
        Ok(())
    })
    .await?;
    Ok((fresh, StepState::Miss { reason: reason.into() }))
}

enum Failed {
    Http(HttpError),
    Build(BuildError),
    Mismatch { found: Digest },
}

impl From<HttpError> for Failed {
    fn from(error: HttpError) -> Self {
        Failed::Http(error)
    }
}

impl From<BuildError> for Failed {
    fn from(error: BuildError) -> Self {
        Failed::Build(error)
    }
}

/// One try; `None` if nothing changed. `partial` holds what came of the body before, and what came of it now if that can
/// be continued.
async fn once(
    fetcher: &Fetcher,
    request: &Get,
    known: Option<&Known>,
    wanted: Option<&Digest>,
    partial: &mut Option<Body>,
) -> Result<Option<Known>, Failed> {
    let mut answer = ask(fetcher, request, partial.as_ref()).await?;
    let continued = partial.take().filter(|body| body.is_continued_by(&answer));
    let mut body = if let Some(body) = continued {
        body
    } else {
        if answer.is_part() {
            return Err(HttpError::Status(206).into());
        }
        if let Some(known) = known {
            // Some servers send a tag and yet know no conditions.
            let etag = answer.header(&ETAG);
            let same_tag = is_strong(etag) && etag == known.etag.as_deref();
            if answer.is_unchanged() || same_tag {
                return Ok(None);
            }
        } else if answer.is_unchanged() {
            return Err(HttpError::Status(304).into());
        }
        Body::new(&fetcher.session.store, wanted, &answer)?
    };
    let item = request.url.path().to_owned();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => body.write(&chunk)?,
            Ok(None) => break,
            Err(e) => {
                *partial = Some(body).filter(|body| body.rest().is_some());
                return Err(e.into());
            }
        }
        fetcher.progress(&item, body.written(), body.length());
    }
    let (etag, last_modified) = (body.etag.clone(), body.last_modified.clone());
    let name = body.disposition.as_deref().and_then(disposition_name);
    let digest = body.commit().await?;
    if let Some(wanted) = wanted
        && digest != *wanted
    {
        return Err(Failed::Mismatch { found: digest });
    }
    Ok(Some(Known { digest, etag, last_modified, name }))
}

/// Asks for the rest of a body that came in part, else for all of it.
async fn ask(fetcher: &Fetcher, request: &Get, partial: Option<&Body>) -> Result<Answer, HttpError> {
    let http = &fetcher.session.http;
    if let Some((body, headers)) = partial.and_then(|body| Some((body, body.rest()?))) {
        let rest = Get { headers, ..request.clone() };
        match http.get(&rest, Budget::download()).await {
            Ok(answer) if !answer.is_part() || body.is_continued_by(&answer) => return Ok(answer),
            // Something else than what was asked for.
            Ok(_) | Err(HttpError::Status(416)) => {}
            Err(e) => return Err(e),
        }
    }
    http.get(request, Budget::download()).await
}

fn refused(url: &Url, error: HttpError) -> BuildError {
    let shown = redacted(url);
    let hint = match &error {
        HttpError::Status(401 | 403) => {
            let host = host_names(url).pop().unwrap_or_default();
            Some(format!("give a token with --secret id=HTTP_AUTH_TOKEN_{host},env=NAME"))
        }
        HttpError::Status(404 | 410) => Some("check the URL".into()),
        HttpError::Connection { .. } | HttpError::Slow(_) => {
            Some("check the network, and HTTP_PROXY and HTTPS_PROXY of this process".into())
        }
        _ => None,
    };
    let error = BuildError::new(Kind::Remote, format!("cannot download {shown}")).caused_by(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The URL without user name and password.
fn bare(url: &Url) -> Url {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    url
}

/// A secret for this server, else what the URL itself holds.
fn authorization(fetcher: &Fetcher, url: &Url) -> Result<Option<HeaderValue>, BuildError> {
    let mut found = None;
    for host in host_names(url) {
        for (prefix, scheme) in [("HTTP_AUTH_HEADER_", ""), ("HTTP_AUTH_TOKEN_", "Bearer ")] {
            if found.is_none()
                && let Some(value) = fetcher.secret(&format!("{prefix}{host}"))?
            {
                found = Some(format!("{scheme}{value}"));
            }
        }
    }
    if found.is_none() && !url.username().is_empty() {
        let password = percent_decoded(url.password().unwrap_or_default());
        let pair = format!("{}:{password}", percent_decoded(url.username()));
        found = Some(format!("Basic {}", STANDARD.encode(pair)));
    }
    let Some(text) = found else { return Ok(None) };
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        BuildError::user("a secret for HTTP is no valid header").hint("it must be one line of text")
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn conditions(known: &Known) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.last_modified)] {
        if let Some(value) = value.as_deref().and_then(|v| HeaderValue::from_str(v).ok()) {
            headers.insert(name, value);
        }
    }
    headers
}

fn name_of(op: &HttpOp, known: Option<&Known>) -> String {
    let name = op.filename.clone().or_else(|| known.and_then(|k| k.name.clone()));
    name.filter(|name| is_file_name(name)).unwrap_or_else(|| UNNAMED.to_owned())
}

fn mtime_of(known: &Known) -> i64 {
    known.last_modified.as_deref().and_then(parse_date).unwrap_or(NO_TIME)
}
