//! Main contexts that are no directory of the client: archives, git repositories and URLs become one first.
//!
//! A checkout and a downloaded archive are layers in the store, so that an unchanged one is neither fetched nor unpacked
//! again; an archive on standard input is unpacked into the store's temporary directory. Ignore files do not count in
//! them. Their Dockerfile is read as if chrooted to them.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use cooper_frontend::graph::HttpOp;
use cooper_oci::compress::auto_decoder;
use cooper_snapshotter::{Chain, ExtractOptions, View, extract};
use cooper_sys::fs::{self, OFlags};

use crate::build::MAX_DOCKERFILE_BYTES;
use crate::cancel::CancelToken;
use crate::epoch;
use crate::error::{BuildError, Kind};
use crate::event::{Event, EventSender, StepState};
use crate::ops::{self, http::Download};
use crate::remote::git::{Location, Mtime};
use crate::remote::{Fetcher, Scratch};
use crate::request::{
    ARCHIVE_HEAD_BYTES, ArchiveStream, BuildRequest, ContextSource, DockerfileSource, is_archive,
};
use crate::rootfs::{Layer, Rootfs};
use crate::session::Inner;
use crate::solver::key::Inputs;
use crate::solver::record::{Record, RecordedLayer};
use crate::task;

/// A request whose context is a directory, and what keeps that in place.
pub(crate) struct Prepared {
    /// The request.
    pub request: Arc<BuildRequest>,
    /// When the context was last changed, Unix seconds; nothing for files of the client.
    pub changed: Option<i64>,
    /// Numbers of steps that fetching took, from 0.
    pub steps: usize,
    _held: Option<Held>,
}

enum Held {
    View(#[expect(dead_code, reason = "only its end matters")] View),
    Scratch(#[expect(dead_code, reason = "only its end matters")] Scratch),
}

/// Fetches and unpacks the main context of a request, if need be.
pub(crate) async fn prepare(
    session: &Arc<Inner>,
    mut request: BuildRequest,
    events: &EventSender,
    cancel: &CancelToken,
) -> Result<Prepared, BuildError> {
    let fetcher_of = |request: &Arc<BuildRequest>| Fetcher {
        session: session.clone(),
        request: request.clone(),
        events: events.clone(),
        cancel: cancel.clone(),
        step: None,
    };
    if let Some(DockerfileSource::Url(url)) = &request.dockerfile {
        let fetcher = fetcher_of(&Arc::new(request.clone()));
        let download = download(&fetcher, url).await?;
        let read =
            move || dockerfile_text(fetcher.session.store.open_blob(&download.digest)?, &download.shown());
        let text = task::blocking("read a Dockerfile", read).await?;
        request.dockerfile = Some(DockerfileSource::Text(text));
    }
    let request = Arc::new(request);
    let fetcher = fetcher_of(&request);
    match &request.context {
        ContextSource::Empty | ContextSource::Directory(_) | ContextSource::Tree(_) => {
            Ok(Prepared { request, changed: None, steps: 0, _held: None })
        }
        ContextSource::Git(url) => {
            let mut location = Location::parse(url)?;
            if is_dated(&request) {
                location.mtime.get_or_insert(Mtime::Commit);
            }
            let shown = location.shown();
            let keep = location.keep_git_dir.unwrap_or_else(|| keeps_git_dir(&request));
            let fetcher = Fetcher { step: Some(0), ..fetcher };
            let work = async {
                let (rootfs, state, seconds) = ops::git::layer(&fetcher, &location, keep).await?;
                Ok(((rootfs, seconds), state))
            };
            let name = format!("[internal] load git source {shown}");
            let (rootfs, seconds) = as_step(&fetcher, name, work).await?;
            of_layer(&fetcher, rootfs, shown, Some(seconds)).await
        }
        ContextSource::Http(url) => {
            let fetcher = Fetcher { step: Some(0), ..fetcher };
            let work = download_and_state(&fetcher, url);
            let download = as_step(&fetcher, "[internal] load remote build context".into(), work).await?;
            let changed = epoch::of_download(&fetcher, &download).await?;
            of_download(&fetcher, download, changed).await
        }
        ContextSource::Tar(stream) => {
            let stream = stream.clone();
            let unpack = task::blocking("unpack the context", move || of_stream(&fetcher, &stream));
            // Reading standard input cannot be ended: whoever cancels ends the process too.
            tokio::select! {
                done = unpack => done,
                () = cancel.cancelled() => Err(BuildError::cancelled()),
            }
        }
    }
}

async fn download(fetcher: &Fetcher, url: &str) -> Result<Download, BuildError> {
    download_and_state(fetcher, url).await.map(|(download, _)| download)
}

async fn download_and_state(fetcher: &Fetcher, url: &str) -> Result<(Download, StepState), BuildError> {
    let op = HttpOp { url: url.to_owned(), checksum: None, filename: None };
    let (download, state) = ops::http::resolve(fetcher, &op).await?;
    download.bring(fetcher).await?;
    Ok((download, state))
}

/// Tells the work as a step that people see; its number is that of the fetcher.
async fn as_step<T>(
    fetcher: &Fetcher,
    name: String,
    work: impl Future<Output = Result<(T, StepState), BuildError>>,
) -> Result<T, BuildError> {
    let step = fetcher.step.unwrap_or(0);
    let started = Instant::now();
    fetcher.events.send(Event::StepPlanned { step, name, stage: None, span: None });
    fetcher.events.send(Event::StepStarted { step });
    match work.await {
        Ok((value, state)) => {
            fetcher.events.send(Event::StepFinished { step, state, duration: started.elapsed() });
            Ok(value)
        }
        Err(e) => {
            fetcher.events.send(Event::StepFailed { step, message: e.to_string() });
            Err(e.in_step(step))
        }
    }
}

/// `--build-arg BUILDKIT_CONTEXT_KEEP_GIT_DIR=1`
fn keeps_git_dir(request: &BuildRequest) -> bool {
    let arg = request.build_args.iter().rev().find(|(name, _)| name == "BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    arg.is_some_and(|(_, value)| matches!(value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"))
}

/// `--build-arg SOURCE_DATE_EPOCH` of any value: files of a repository then have the time of the commit.
fn is_dated(request: &BuildRequest) -> bool {
    let arg = request.build_args.iter().rev().find(|(name, _)| name == epoch::ARG);
    arg.is_some_and(|(_, value)| !value.is_empty())
}

async fn of_layer(
    fetcher: &Fetcher,
    rootfs: Rootfs,
    shown: String,
    changed: Option<i64>,
) -> Result<Prepared, BuildError> {
    let fetcher = fetcher.clone();
    task::blocking("open the context", move || {
        let view = fetcher.session.store.view(rootfs.chain())?;
        let path = fs::proc_fd_path(view.root());
        let request = request_of(&fetcher.request, view.root(), path, &shown)?;
        Ok(Prepared { request, changed, steps: 1, _held: Some(Held::View(view)) })
    })
    .await
}

/// An archive is the context; any other file is the Dockerfile of an empty one.
async fn of_download(
    fetcher: &Fetcher,
    download: Download,
    changed: Option<i64>,
) -> Result<Prepared, BuildError> {
    let unreadable = |e: std::io::Error| BuildError::new(Kind::Config, "cannot read a download").caused_by(e);
    let fetcher2 = fetcher.clone();
    let shown = download.shown();
    let shown2 = shown.clone();
    let unpacked = task::blocking("look at a context", move || {
        let store = &fetcher2.session.store;
        let mut head = Vec::new();
        let file = store.open_blob(&download.digest)?;
        file.take(ARCHIVE_HEAD_BYTES as u64).read_to_end(&mut head).map_err(unreadable)?;
        if is_archive(&head) {
            return unpack_download(&fetcher2, &download).map(Ok);
        }
        let file = store.open_blob(&download.digest)?;
        let text = dockerfile_text(file, &shown2)?;
        let request = BuildRequest {
            context: ContextSource::Empty,
            dockerfile: Some(DockerfileSource::Text(text)),
            ..(*fetcher2.request).clone()
        };
        Ok(Err(Prepared { request: Arc::new(request), changed, steps: 1, _held: None }))
    })
    .await?;
    match unpacked {
        Ok(rootfs) => of_layer(fetcher, rootfs, shown, changed).await,
        Err(prepared) => Ok(prepared),
    }
}

/// A layer keyed by the archive's digest.
fn unpack_download(fetcher: &Fetcher, download: &Download) -> Result<Rootfs, BuildError> {
    let store = &fetcher.session.store;
    let mut inputs = Inputs::default();
    inputs.add("op", "context archive");
    inputs.add("content", download.digest.as_str());
    let key = inputs.key();
    let _lock = store.lock_step(&key)?;
    let record = if let Some(record) = Record::find(store, &key) {
        record
    } else {
        let active = store.prepare(&Chain::default(), &[])?;
        unpack(store.open_blob(&download.digest)?, active.root(), &download.shown())?;
        let made = store.commit(active)?;
        store.sync()?;
        let layer = RecordedLayer { diff_id: made.diff_id, content: made.content.0 };
        let record = Record { inputs, layer, created_seconds: 0, duration_ms: 0 };
        record.publish(store, &key, "near-context")?;
        record
    };
    Ok(Rootfs::default().with(Layer {
        diff_id: record.layer.diff_id.clone(),
        identity: record.layer.content.clone(),
        created_seconds: None,
    }))
}

fn of_stream(fetcher: &Fetcher, stream: &ArchiveStream) -> Result<Prepared, BuildError> {
    let shown = "the archive on standard input";
    let reader =
        stream.take().ok_or_else(|| BuildError::new(Kind::Internal, "the context was read already"))?;
    let scratch = Scratch::new(&fetcher.session.store, "context")?;
    let root = fs::open_dir(scratch.path())?;
    unpack(reader, root.as_fd(), shown)?;
    let request = request_of(&fetcher.request, root.as_fd(), scratch.path().to_owned(), shown)?;
    Ok(Prepared { request, changed: None, steps: 0, _held: Some(Held::Scratch(scratch)) })
}

fn unpack(archive: impl Read, dest: BorrowedFd<'_>, shown: &str) -> Result<(), BuildError> {
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| {
        BuildError::user(format!("cannot unpack the build context: {shown}: {e}"))
            .hint("it must be a tar archive, plain or compressed with gzip, bzip2, xz or zstd")
    };
    let (_, decoded) = auto_decoder(archive).map_err(|e| failed(e.into()))?;
    let options = ExtractOptions { chown: Some((0, 0)), ..ExtractOptions::default() };
    extract(decoded, dest, Path::new("/"), &options).map_err(|e| failed(e.into()))?;
    Ok(())
}

/// The same request with a tree as context, and its Dockerfile.
fn request_of(
    request: &BuildRequest,
    root: BorrowedFd<'_>,
    path: PathBuf,
    shown: &str,
) -> Result<Arc<BuildRequest>, BuildError> {
    let dockerfile = match &request.dockerfile {
        Some(DockerfileSource::Text(text)) => text.clone(),
        Some(DockerfileSource::Url(_)) => {
            return Err(BuildError::new(Kind::Internal, "the Dockerfile was not fetched"));
        }
        Some(DockerfileSource::Path(name)) => {
            find(root, &[name], shown)?.ok_or_else(|| missing(shown, &name.display().to_string()))?
        }
        None => {
            let names = [Path::new("Dockerfile"), Path::new("dockerfile")];
            find(root, &names, shown)?.ok_or_else(|| missing(shown, "Dockerfile"))?
        }
    };
    Ok(Arc::new(BuildRequest {
        context: ContextSource::Tree(path),
        dockerfile: Some(DockerfileSource::Text(dockerfile)),
        ..request.clone()
    }))
}

fn missing(shown: &str, name: &str) -> BuildError {
    BuildError::user(format!("failed to read dockerfile: {shown} has no file {name}"))
        .hint("name another file of the context with -f")
}

/// The first file of these names that exists; links are followed inside the context.
fn find(
    root: BorrowedFd<'_>,
    names: &[impl AsRef<Path>],
    shown: &str,
) -> Result<Option<Vec<u8>>, BuildError> {
    for name in names {
        match fs::open_in_root(root, name.as_ref(), OFlags::RDONLY, 0) {
            Ok(file) if fs::fstat(&file)?.is_file() => {
                return dockerfile_text(File::from(file), shown).map(Some);
            }
            Ok(_) => {}
            Err(e) if e.is_not_found() => {}
            Err(e) => {
                let message = format!("failed to read dockerfile: {} of {shown}", name.as_ref().display());
                return Err(BuildError::user(message).caused_by(e));
            }
        }
    }
    Ok(None)
}

fn dockerfile_text(file: impl Read, shown: &str) -> Result<Vec<u8>, BuildError> {
    let mut text = Vec::new();
    file.take(MAX_DOCKERFILE_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(|e| BuildError::user(format!("failed to read the Dockerfile of {shown}")).caused_by(e))?;
    if text.len() as u64 > MAX_DOCKERFILE_BYTES {
        return Err(BuildError::user(format!(
            "the Dockerfile of {shown} is larger than {MAX_DOCKERFILE_BYTES} bytes"
        )));
    }
    Ok(text)
}
