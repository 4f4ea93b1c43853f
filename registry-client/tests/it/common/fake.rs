//! A registry that does what a script says, and the usual otherwise.
//!
//! Speaks HTTP/1.1 on a raw socket, so that it can also break off in the middle of a body. Every
//! request is noted, with as much of its body as came.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use cooper_oci::{Digest, media};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn queries(&self, name: &str) -> Vec<String> {
        let pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs.filter(|(n, _)| n == name).map(|(_, v)| v.into_owned()).collect()
    }

    pub fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.path.contains(part)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Breaks off after this many bytes of the body.
    cut: Option<usize>,
    /// Says this length, whatever the body is.
    length: Option<usize>,
    /// Then keeps the connection open and silent.
    stall: bool,
    /// Says no length, and ends by closing.
    open_ended: bool,
    /// After so many bytes of the body waits until so many requests have come.
    hold: Option<(usize, usize)>,
    /// Its body waits until the number is so large.
    gate: Option<(Arc<AtomicUsize>, usize)>,
}

impl Reply {
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn is(&self, status: u16) -> bool {
        self.status == status
    }

    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn cut(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    pub fn stall(mut self, bytes: usize) -> Self {
        self.stall = true;
        self.cut(bytes)
    }

    pub fn open_ended(mut self) -> Self {
        self.open_ended = true;
        self
    }

    pub fn hold(mut self, bytes: usize, requests: usize) -> Self {
        self.hold = Some((bytes, requests));
        self
    }

    pub fn when(mut self, number: Arc<AtomicUsize>, least: usize) -> Self {
        self.gate = Some((number, least));
        self
    }

    pub fn length(mut self, bytes: usize) -> Self {
        self.length = Some(bytes);
        self
    }
}

/// What the registry holds.
#[derive(Default)]
pub struct Content {
    pub blobs: BTreeMap<String, Vec<u8>>,
    pub manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub uploads: BTreeMap<String, Vec<u8>>,
    /// Uploads whose bytes are coming: nothing else happens to them meanwhile.
    busy: BTreeSet<String>,
    /// Bytes of uploads that came, whatever became of them.
    pub received: u64,
    /// How often each path was asked for with each method, the present time included.
    seen: BTreeMap<(String, String), usize>,
    opened: usize,
}

impl Content {
    pub fn add(&mut self, blob: &[u8]) {
        self.blobs.insert(Digest::sha256_of(blob).to_string(), blob.to_vec());
    }

    /// How often this method was used on this path so far.
    pub fn nth(&self, request: &Request) -> usize {
        self.seen.get(&(request.method.clone(), request.path.clone())).copied().unwrap_or_default()
    }
}

type Script = dyn Fn(&Request, &mut Content) -> Option<Reply> + Send + Sync;
/// Told of a request before its body is read: after how many bytes of it to break off.
type Cut = dyn Fn(&Request, &mut Content) -> Option<usize> + Send + Sync;
/// Told of a request before its body is read: the answer, if it is to come now.
type Early = dyn Fn(&Request, &mut Content) -> Option<Reply> + Send + Sync;

struct Shared {
    script: Box<Script>,
    cut: Box<Cut>,
    early: Box<Early>,
    log: Mutex<Vec<Request>>,
    content: Mutex<Content>,
}

pub struct Fake {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub async fn start(
        script: impl Fn(&Request, &mut Content) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        Self::start_cutting(script, |_, _| None).await
    }

    pub async fn start_cutting(
        script: impl Fn(&Request, &mut Content) -> Option<Reply> + Send + Sync + 'static,
        cut: impl Fn(&Request, &mut Content) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        Self::start_at("127.0.0.1:0", script, cut).await
    }

    pub async fn start_at(
        at: &str,
        script: impl Fn(&Request, &mut Content) -> Option<Reply> + Send + Sync + 'static,
        cut: impl Fn(&Request, &mut Content) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        Self::begin(at, Box::new(script), Box::new(cut), Box::new(|_, _| None)).await
    }

    /// `early` may answer a request before its body. What comes of that afterwards is read and noted.
    pub async fn start_early(
        early: impl Fn(&Request, &mut Content) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        Self::begin("127.0.0.1:0", Box::new(|_, _| None), Box::new(|_, _| None), Box::new(early)).await
    }

    async fn begin(at: &str, script: Box<Script>, cut: Box<Cut>, early: Box<Early>) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { script, cut, early, log: Mutex::default(), content: Mutex::default() });
        let theirs = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = theirs.clone();
                tokio::spawn(async move { shared.converse(stream).await });
            }
        });
        Self { address, shared, task }
    }

    pub fn content(&self) -> MutexGuard<'_, Content> {
        self.shared.content.lock().unwrap()
    }

    pub fn log(&self) -> Vec<Request> {
        self.shared.log.lock().unwrap().clone()
    }

    /// Empties the log.
    pub fn forget(&self) {
        self.shared.log.lock().unwrap().clear();
    }

    /// Waits until so many requests have come.
    pub async fn until(&self, count: usize, which: impl Fn(&Request) -> bool) {
        let work = async {
            while self.shared.log.lock().unwrap().iter().filter(|r| which(r)).count() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_mins(1), work).await.unwrap();
    }

    pub fn requests(&self, method: &str, part: &str) -> Vec<Request> {
        self.log().into_iter().filter(|r| r.is(method, part)).collect()
    }
}

impl Shared {
    async fn converse(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut request = read_head(&mut stream).await?;
            let length: usize = request.header("content-length").map_or(0, |n| n.parse().unwrap());
            let unknown = request.header("transfer-encoding").is_some();
            let (cut, early) = {
                let mut content = self.content.lock().unwrap();
                *content.seen.entry((request.method.clone(), request.path.clone())).or_default() += 1;
                ((self.cut)(&request, &mut content), (self.early)(&request, &mut content))
            };
            if let Some(reply) = early {
                self.write_reply(&mut stream, &request, &reply).await?;
                // A connection that is closed in the middle is an end as well.
                let most = if unknown { u64::MAX } else { length as u64 };
                let _ = (&mut stream).take(most).read_to_end(&mut request.body).await;
                let whole = request.body.len() == length && !unknown;
                self.log.lock().unwrap().push(request);
                if whole {
                    continue;
                }
                return None;
            }
            assert!(!unknown, "sizes are known, nothing is chunked");
            let most = cut.unwrap_or(length).min(length);
            let whole = self.receive(&mut stream, &mut request, most).await && cut.is_none();
            if whole || cut.is_some() {
                self.log.lock().unwrap().push(request.clone());
            }
            if !whole {
                return None;
            }
            let reply = {
                let mut content = self.content.lock().unwrap();
                (self.script)(&request, &mut content).unwrap_or_else(|| usual(&mut content, &request))
            };
            self.write_reply(&mut stream, &request, &reply).await?;
            if request.header("connection") == Some("close") {
                return None;
            }
        }
    }

    /// Reads a body; `false` if it breaks off. What came of an upload is kept if the rest does not come.
    async fn receive(&self, stream: &mut BufReader<TcpStream>, request: &mut Request, most: usize) -> bool {
        let id = last(&request.path).to_owned();
        let begun = || {
            let mut content = self.content.lock().unwrap();
            !content.uploads.contains_key(&id) || content.busy.insert(id.clone())
        };
        while !begun() {
            tokio::task::yield_now().await;
        }
        let _ = stream.take(most as u64).read_to_end(&mut request.body).await;
        let mut content = self.content.lock().unwrap();
        content.busy.remove(&id);
        let length = request.header("content-length").map_or(0, |n| n.parse().unwrap());
        if request.body.len() < length {
            keep_partial(&mut content, request);
        }
        if content.uploads.contains_key(&id) {
            content.received += request.body.len() as u64;
        }
        request.body.len() == most
    }

    async fn write_reply(
        &self,
        stream: &mut BufReader<TcpStream>,
        request: &Request,
        reply: &Reply,
    ) -> Option<()> {
        let mut head = format!("HTTP/1.1 {} X\r\n", reply.status);
        for (name, value) in &reply.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let says_length = reply.headers.iter().any(|(n, _)| n == "content-length");
        if !says_length && reply.status != 204 && !reply.open_ended {
            head += &format!("content-length: {}\r\n", reply.length.unwrap_or(reply.body.len()));
        }
        head += "\r\n";
        stream.write_all(head.as_bytes()).await.ok()?;
        if request.method != "HEAD" {
            while reply.gate.as_ref().is_some_and(|(number, least)| number.load(Ordering::SeqCst) < *least) {
                tokio::task::yield_now().await;
            }
            let end = reply.cut.unwrap_or(reply.body.len());
            let (at, requests) = reply.hold.unwrap_or_default();
            stream.write_all(&reply.body[..at]).await.ok()?;
            while self.log.lock().unwrap().len() < requests {
                tokio::task::yield_now().await;
            }
            stream.write_all(&reply.body[at..end]).await.ok()?;
        }
        stream.flush().await.ok()?;
        if reply.stall {
            std::future::pending::<()>().await;
        }
        (reply.cut.is_none() && reply.length.is_none() && !reply.open_ended).then_some(())
    }
}

async fn read_head(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut request = Request::default();
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace();
    request.method = words.next()?.to_owned();
    let target = words.next()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (request.path, request.query) = (path.to_owned(), query.to_owned());
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { return Some(request) };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// A registry keeps what came before a connection broke.
fn keep_partial(content: &mut Content, request: &Request) {
    if request.method == "PATCH"
        && let Some(upload) = content.uploads.get_mut(last(&request.path))
    {
        upload.extend_from_slice(&request.body);
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn progress(path: &str, upload: &[u8], status: u16) -> Reply {
    let end = upload.len().saturating_sub(1);
    Reply::new(status).header("location", path).header("range", format!("0-{end}"))
}

/// What a good registry does.
pub fn usual(content: &mut Content, request: &Request) -> Reply {
    let path = request.path.as_str();
    let missing = || Reply::new(404).body(r#"{"errors":[{"code":"NOT_HERE","message":"no such thing"}]}"#);
    match request.method.as_str() {
        "GET" if path == "/v2/" => Reply::new(200),
        "GET" | "HEAD" if path.contains("/manifests/") => match content.manifests.get(last(path)) {
            Some((media_type, bytes)) => Reply::new(200)
                .header("content-type", media_type)
                .header("docker-content-digest", Digest::sha256_of(bytes))
                .header("content-length", bytes.len())
                .body(bytes.clone()),
            None => missing(),
        },
        "GET" if content.uploads.contains_key(last(path)) => {
            progress(path, &content.uploads[last(path)], 204)
        }
        "GET" if path.ends_with("/tags/list") => {
            let tags: Vec<_> = content.manifests.keys().filter(|name| !name.contains(':')).collect();
            Reply::new(200).body(serde_json::json!({"name": "x", "tags": tags}).to_string())
        }
        "GET" | "HEAD" => match content.blobs.get(last(path)) {
            Some(bytes) => blob(bytes, request.header("range")),
            None => missing(),
        },
        "POST" if path.ends_with("/blobs/uploads/") => {
            content.opened += 1;
            let id = format!("upload-{}", content.opened);
            content.uploads.insert(id.clone(), Vec::new());
            progress(&format!("{path}{id}"), b"", 202)
        }
        "PATCH" => match content.uploads.get_mut(last(path)) {
            Some(upload) => {
                let from = request.header("content-range").and_then(|r| r.split('-').next()?.parse().ok());
                if from != Some(upload.len()) {
                    return progress(path, upload, 416);
                }
                upload.extend_from_slice(&request.body);
                progress(path, upload, 202)
            }
            None => missing(),
        },
        "PUT" if path.contains("/manifests/") => {
            let media_type = request.header("content-type").unwrap().to_owned();
            let digest = Digest::sha256_of(&request.body);
            content.manifests.insert(digest.to_string(), (media_type.clone(), request.body.clone()));
            content.manifests.insert(last(path).to_owned(), (media_type, request.body.clone()));
            Reply::new(201).header("docker-content-digest", digest)
        }
        "PUT" => {
            let Some(mut bytes) = content.uploads.remove(last(path)) else { return missing() };
            bytes.extend_from_slice(&request.body);
            let digest = Digest::sha256_of(&bytes);
            if request.queries("digest") != [digest.to_string()] {
                return Reply::new(400).body(r#"{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}"#);
            }
            content.blobs.insert(digest.to_string(), bytes);
            Reply::new(201)
        }
        "DELETE" if content.uploads.remove(last(path)).is_some() => Reply::new(204),
        _ => missing(),
    }
}

pub fn blob(bytes: &[u8], range: Option<&str>) -> Reply {
    match range.and_then(|range| span(range, bytes.len())) {
        Some((from, end)) => Reply::new(206)
            .header("content-range", format!("bytes {from}-{}/{}", end - 1, bytes.len()))
            .body(&bytes[from..end]),
        None => Reply::new(200).header("content-length", bytes.len()).body(bytes),
    }
}

/// The first byte and the one behind the last of `bytes=7-` or `bytes=7-99`.
pub fn span(range: &str, size: usize) -> Option<(usize, usize)> {
    let (from, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = if last.is_empty() { size } else { last.parse::<usize>().ok()? + 1 };
    Some((from.parse().ok()?, end.min(size)))
}

/// A manifest ready to be served.
pub fn manifest(bytes: &[u8]) -> (String, Vec<u8>) {
    (media::OCI_MANIFEST.to_owned(), bytes.to_vec())
}
