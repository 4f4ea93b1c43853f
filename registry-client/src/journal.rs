//! Notes of unfinished uploads, so that another process can go on with them.
//!
//! Format: in the journal's directory one file for each registry, repository and digest, readable by its owner
//! only (an upload's address is a secret of its session); in it one line of JSON for each state, of which the last
//! whole one counts. Lock: the file is locked while its upload goes on, so that two processes never feed one
//! session; who does not get the lock does without the journal. What a note says is asked of the registry before
//! it is believed. A journal that cannot be written makes no push fail.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use cooper_oci::Digest;
use serde::{Deserialize, Serialize};

use crate::endpoint::Endpoint;
use crate::error::Target;
use crate::session::Session;

/// Registries forget uploads after a week at the latest.
const LIFE: Duration = Duration::from_hours(7 * 24);
/// The most that is read of a file: its end holds the last line.
const TAIL_BYTES: u64 = 64 << 10;

/// A directory of notes, or none.
#[derive(Debug)]
pub(crate) struct Journal {
    dir: Option<PathBuf>,
    swept: Once,
}

/// The note of one upload, held by this process.
#[derive(Debug)]
pub(crate) struct Note {
    path: PathBuf,
    file: File,
}

#[derive(Serialize, Deserialize)]
struct Line {
    location: String,
    least_chunk_bytes: Option<u64>,
}

impl Journal {
    pub(crate) fn new(dir: Option<PathBuf>) -> Self {
        Self { dir, swept: Once::new() }
    }

    /// The note for a blob; `None` without a journal, or while another upload of it goes on.
    pub(crate) fn open(&self, endpoint: &Endpoint, target: &Target) -> Option<Note> {
        let dir = self.dir.as_deref()?;
        std::fs::create_dir_all(dir).ok()?;
        self.swept.call_once(|| sweep(dir));
        let key = format!("{}\n{}\n{}", endpoint.origin(), endpoint.repository, target.object);
        let path = dir.join(Digest::sha256_of(key.as_bytes()).hex()).with_extension("upload");
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let file = options.open(&path).ok()?;
        file.try_lock().ok()?;
        Some(Note { path, file })
    }
}

/// Removes notes of sessions that no registry knows any more.
fn sweep(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let old = std::fs::symlink_metadata(&path)
            .and_then(|data| data.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > LIFE));
        if old && path.extension().is_some_and(|e| e == "upload") {
            let _ = std::fs::remove_file(&path);
        }
    }
}

impl Note {
    /// The session that was left, if its address may still be used.
    pub(crate) fn left(&self, endpoint: &Endpoint) -> Option<Session> {
        let mut file = &self.file;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).ok()?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes).ok()?;
        // What follows the last line's end was being written when the process was killed.
        let whole = bytes.iter().rposition(|b| *b == b'\n')?;
        let last = bytes.get(..whole)?.rsplit(|b| *b == b'\n').next()?;
        let line: Line = serde_json::from_slice(last).ok()?;
        Session::restored(endpoint, &line.location, line.least_chunk_bytes)
    }

    /// Notes where the upload is now.
    pub(crate) fn write(&self, session: &Session) {
        let line =
            Line { location: session.location.to_string(), least_chunk_bytes: session.least_chunk_bytes };
        if let Ok(mut text) = serde_json::to_vec(&line) {
            text.push(b'\n');
            // Not written, it is only not gone on with.
            let _ = (&self.file).write_all(&text);
        }
    }

    /// There is nothing to go on with.
    pub(crate) fn clear(&self) {
        let _ = self.file.set_len(0);
    }

    /// The upload is done.
    pub(crate) fn finish(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::hosts::Place;

    fn endpoint() -> Endpoint {
        Endpoint::new(&Place::new("reg.test", "a/b"), false, false).unwrap()
    }

    fn session(location: &str) -> Session {
        Session::restored(&endpoint(), location, Some(5)).unwrap()
    }

    fn target() -> Target {
        Target { registry: "reg.test".into(), repository: "a/b".into(), object: "sha256:00".into() }
    }

    #[test]
    fn the_last_whole_line_counts_and_only_one_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(Some(dir.path().join("deep/journal")));
        let note = journal.open(&endpoint(), &target()).unwrap();
        assert!(note.left(&endpoint()).is_none());
        note.write(&session("https://reg.test/v2/a/b/blobs/uploads/1?_state=x"));
        note.write(&session("https://reg.test/v2/a/b/blobs/uploads/1?_state=y"));
        (&note.file).write_all(b"{\"location\":\"https://reg").unwrap();
        assert!(Journal::new(journal.dir.clone()).open(&endpoint(), &target()).is_none(), "it is held");
        drop(note);
        let note = journal.open(&endpoint(), &target()).unwrap();
        let left = note.left(&endpoint()).unwrap();
        assert!(left.location.as_str().ends_with("_state=y"));
        assert_eq!(left.least_chunk_bytes, Some(5));
        note.clear();
        assert!(note.left(&endpoint()).is_none());
        note.finish();
        assert_eq!(std::fs::read_dir(dir.path().join("deep/journal")).unwrap().count(), 0);
    }

    #[test]
    fn addresses_that_no_answer_may_give_are_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(Some(dir.path().to_owned()));
        let note = journal.open(&endpoint(), &target()).unwrap();
        for bad in ["http://reg.test:1/x", "https://127.0.0.1/x", "https://u:p@reg.test/x", "file:///x", "x"]
        {
            (&note.file).write_all(format!("{{\"location\":\"{bad}\"}}\n").as_bytes()).unwrap();
            assert!(note.left(&endpoint()).is_none(), "{bad}");
        }
        assert!(Journal::new(None).open(&endpoint(), &target()).is_none());
    }
}
