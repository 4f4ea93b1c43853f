//! `SOURCE_DATE_EPOCH` given as a keyword: asks what it names for its time.

use std::io::Read;

use cooper_frontend::graph::{GitOp, HttpOp, NamedContext, PlanOptions};
use cooper_frontend::{EpochSource, epoch_source, parser};
use cooper_oci::compress::auto_decoder;
use cooper_oci::tar::{Budget, EntryKind, Reader};

use crate::build::Files;
use crate::error::{BuildError, Kind};
use crate::ops::git;
use crate::ops::http::{self, Download};
use crate::remote::Fetcher;
use crate::remote::git::Location;
use crate::request::{ARCHIVE_HEAD_BYTES, is_archive};
use crate::task;

/// The argument.
pub const ARG: &str = "SOURCE_DATE_EPOCH";

/// The time of what the argument names, Unix seconds. `context_changed` is that of the main context. Nothing for numbers,
/// for what has no time, and for what planning refuses.
pub async fn of_keyword(
    fetcher: &Fetcher,
    files: &Files,
    options: &PlanOptions,
    context_changed: Option<i64>,
) -> Result<Option<i64>, BuildError> {
    let text = &files.dockerfile_bytes;
    let given = options.build_args.iter().any(|(name, _)| name == ARG);
    if !given && !text.windows(ARG.len()).any(|part| part == ARG.as_bytes()) {
        return Ok(None);
    }
    let Ok(file) = parser::parse(text) else { return Ok(None) };
    let Ok(Some(source)) = epoch_source(&file, options) else { return Ok(None) };
    match source {
        EpochSource::MainContext => Ok(context_changed),
        EpochSource::Context(NamedContext::Git(url)) => {
            of_git(fetcher, &GitOp { url, keep_git_dir: false, checksum: None }).await
        }
        EpochSource::Context(NamedContext::Http(url)) => {
            of_url(fetcher, &HttpOp { url, checksum: None, filename: None }).await
        }
        EpochSource::Context(_) => Ok(None),
        EpochSource::Git(op) => of_git(fetcher, &op).await,
        EpochSource::Http(op) => of_url(fetcher, &op).await,
    }
}

/// When the commit was made.
async fn of_git(fetcher: &Fetcher, op: &GitOp) -> Result<Option<i64>, BuildError> {
    let location = Location::parse(&op.url)?.with_checksum(op.checksum.as_deref())?;
    let keep_git_dir = op.keep_git_dir || location.keep_git_dir == Some(true);
    let (_, _, seconds) = git::layer(fetcher, &location, keep_git_dir).await?;
    Ok(Some(seconds))
}

async fn of_url(fetcher: &Fetcher, op: &HttpOp) -> Result<Option<i64>, BuildError> {
    let (download, _) = http::resolve(fetcher, op).await?;
    download.bring(fetcher).await?;
    of_download(fetcher, &download).await
}

/// What the server says, else the newest file of an archive. The download must be in the store.
pub async fn of_download(fetcher: &Fetcher, download: &Download) -> Result<Option<i64>, BuildError> {
    if let Some(time) = download.changed() {
        return Ok(Some(time));
    }
    let (session, digest) = (fetcher.session.clone(), download.digest.clone());
    task::blocking("look for the newest file of an archive", move || {
        let unreadable =
            |e: std::io::Error| BuildError::new(Kind::Config, "cannot read a download").caused_by(e);
        let mut head = Vec::new();
        let file = session.store.open_blob(&digest)?;
        file.take(ARCHIVE_HEAD_BYTES as u64).read_to_end(&mut head).map_err(unreadable)?;
        if !is_archive(&head) {
            return Ok(None);
        }
        let (_, decoded) = auto_decoder(session.store.open_blob(&digest)?).map_err(unreadable)?;
        Ok(newest(decoded))
    })
    .await
}

/// The time of the newest regular file; nothing for what turns out to be no archive.
fn newest(archive: impl Read) -> Option<i64> {
    let mut reader = Reader::new(archive, Budget::layer());
    let mut newest = None;
    loop {
        match reader.next() {
            Ok(Some(entry)) if entry.kind == EntryKind::File => newest = newest.max(Some(entry.mtime)),
            Ok(Some(_)) => {}
            Ok(None) => return newest,
            Err(_) => return None,
        }
    }
}
