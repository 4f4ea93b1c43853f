//! Pushes that are gone on with by another process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cooper_registry_client::{FileSource, Notice, PushOptions, Pushed, ReadSource};

use crate::common::debian::start;
use crate::common::fake::{Fake, Reply};
use crate::common::{builder, layer, noise, reference};

const BLOB_BYTES: usize = 24 << 20;

fn total(fake: &Fake) -> usize {
    fake.log().iter().map(|r| r.body.len()).sum()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).map(|all| all.map(|e| e.unwrap().path()).collect()).unwrap_or_default()
}

/// A process that pushes the file `blob` of `dir`.
fn pusher(dir: &Path, host: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "journal::push_child", "--ignored", "--nocapture"]);
    command.env("HOME", dir).env("TEST_REGISTRY", host).stdout(Stdio::null()).stderr(Stdio::inherit());
    command.spawn().unwrap()
}

#[tokio::test]
#[ignore = "run by a_killed_push_is_gone_on_with_by_a_new_process"]
async fn push_child() {
    let dir = PathBuf::from(std::env::var_os("HOME").unwrap());
    let bytes = std::fs::read(dir.join("blob")).unwrap();
    let name = reference(std::env::var("TEST_REGISTRY").unwrap(), "x:1");
    let client = builder().journal(dir.join("journal")).build();
    let options = PushOptions { chunk_bytes: Some(1 << 20), ..PushOptions::default() };
    client.push_blob(&name, &layer(&bytes), &FileSource(dir.join("blob")), &options).await.unwrap();
}

#[tokio::test]
async fn a_killed_push_is_gone_on_with_by_a_new_process() {
    let dir = tempfile::tempdir().unwrap();
    let blob = noise(BLOB_BYTES);
    std::fs::write(dir.path().join("blob"), &blob).unwrap();
    let child: Arc<Mutex<Option<Child>>> = Arc::default();
    let victim = child.clone();
    let fake = Fake::start(move |r, c| {
        let there: usize = c.uploads.values().map(Vec::len).sum();
        // When four fifths are there, the process is killed in the middle of its next chunk.
        if r.method == "PATCH"
            && there + r.body.len() > BLOB_BYTES / 5 * 4
            && let Some(mut child) = victim.lock().unwrap().take()
        {
            child.kill().unwrap();
            child.wait().unwrap();
            return Some(Reply::new(500).cut(0));
        }
        None
    })
    .await;
    let host = fake.address.to_string();
    *child.lock().unwrap() = Some(pusher(dir.path(), &host));
    // Its end is seen by the script; then there is one note.
    while child.lock().unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    let before = total(&fake);
    assert!(before > BLOB_BYTES / 2 && !fake.content().blobs.contains_key(layer(&blob).digest.as_str()));
    assert_eq!(files(&dir.path().join("journal")).len(), 1);
    let second = pusher(dir.path(), &host);
    let done = tokio::task::spawn_blocking(move || second.wait_with_output().unwrap()).await.unwrap();
    assert!(done.status.success());
    assert!(fake.content().blobs[layer(&blob).digest.as_str()] == blob);
    let sent = total(&fake) - before;
    assert!(sent <= BLOB_BYTES / 4, "{sent} of {BLOB_BYTES} bytes after a kill at 80 %");
    assert_eq!(fake.requests("POST", "").len(), 1, "one session served both");
    assert!(files(&dir.path().join("journal")).is_empty(), "nothing is left to go on with");
}

/// Pushes until the source is opened at `until` or later, and is dropped there as if it had been killed.
async fn abandoned(host: &str, dir: &Path, blob: &[u8], until: u64, options: &PushOptions) {
    let client = builder().journal(dir).build();
    let shared = Arc::new(blob.to_vec());
    let (stopped, mut told) = tokio::sync::watch::channel(false);
    let source = ReadSource(move |offset: u64| {
        if offset >= until {
            stopped.send_replace(true);
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        let mut cursor = std::io::Cursor::new(shared.as_ref().clone());
        cursor.set_position(offset);
        Ok(cursor)
    });
    let (name, descriptor) = (reference(host, "x:1"), layer(blob));
    tokio::select! {
        biased;
        _ = told.wait_for(|s| *s) => {}
        result = client.push_blob(&name, &descriptor, &source, options) => panic!("{result:?}"),
    }
}

#[tokio::test]
async fn debian_goes_on_between_chunks() {
    let Some(registry) = start(None) else { return };
    let dir = tempfile::tempdir().unwrap();
    let blob = noise(5_000_000);
    let options = PushOptions { chunk_bytes: Some(1_000_000), ..PushOptions::default() };
    abandoned(&registry.host, dir.path(), &blob, 4_000_000, &options).await;
    let notices = Arc::new(Mutex::new(Vec::new()));
    let theirs = notices.clone();
    let seen = Arc::new(Mutex::new(u64::MAX));
    let least = seen.clone();
    let client = builder()
        .journal(dir.path())
        .on_notice(Arc::new(move |notice: &Notice| theirs.lock().unwrap().push(notice.clone())))
        .build()
        .with_observer(Arc::new(move |p| {
            let mut least = least.lock().unwrap();
            *least = p.done_bytes.min(*least);
        }));
    let name = reference(&registry.host, "x:1");
    let pushed = client.push_blob(&name, &layer(&blob), &Bytes::from(blob.clone()), &options).await.unwrap();
    assert_eq!(pushed, Pushed::Uploaded);
    assert!(client.pull_bytes(&name, &layer(&blob)).await.unwrap() == blob);
    let notices = notices.lock().unwrap();
    let [Notice::Resumed { at_bytes, total_bytes, .. }] = notices[..] else { panic!("{notices:?}") };
    assert_eq!((at_bytes, total_bytes), (4_000_000, 5_000_000));
    assert!(files(dir.path()).is_empty());
}

#[tokio::test]
async fn a_session_that_is_gone_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(|_, _| None).await;
    let host = fake.address.to_string();
    let blob = noise(500_000);
    let options = PushOptions { chunk_bytes: Some(100_000), ..PushOptions::default() };
    abandoned(&host, dir.path(), &blob, 300_000, &options).await;
    assert_eq!(files(dir.path()).len(), 1);
    fake.content().uploads.clear();
    let client = builder().journal(dir.path()).build();
    let name = reference(&host, "x:1");
    client.push_blob(&name, &layer(&blob), &Bytes::from(blob.clone()), &options).await.unwrap();
    assert!(fake.content().blobs[layer(&blob).digest.as_str()] == blob);
    assert_eq!(fake.requests("POST", "").len(), 2);
    assert!(files(dir.path()).is_empty());
}

#[tokio::test]
async fn what_the_network_ended_is_kept_and_what_was_refused_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let blob = noise(300_000);
    let options = PushOptions { chunk_bytes: Some(100_000), ..PushOptions::default() };
    for (status, kept) in [(503, 1), (403, 0)] {
        let fake =
            Fake::start(move |r, c| (r.method == "PATCH" && c.nth(r) > 1).then(|| Reply::new(status))).await;
        let client = builder().journal(dir.path()).build();
        let name = reference(fake.address, "x:1");
        client.push_blob(&name, &layer(&blob), &Bytes::from(blob.clone()), &options).await.unwrap_err();
        assert_eq!(fake.content().uploads.len(), kept, "{status}");
        let bytes: u64 = files(dir.path()).iter().map(|f| f.metadata().unwrap().len()).sum();
        assert_eq!(bytes > 0, kept == 1, "{status}");
        for file in files(dir.path()) {
            std::fs::remove_file(file).unwrap();
        }
    }
}

#[tokio::test]
async fn a_registry_without_chunks_is_asked_for_them_once() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(|r, _| (r.method == "PATCH").then(|| Reply::new(405))).await;
    let client = builder().journal(dir.path()).build();
    let name = reference(fake.address, "x:1");
    for n in 0..2 {
        let blob = noise((32 << 20) + n);
        let source = Bytes::from(blob.clone());
        client.push_blob(&name, &layer(&blob), &source, &PushOptions::default()).await.unwrap();
    }
    assert_eq!(fake.requests("PATCH", "").len(), 1);
    assert_eq!(fake.requests("PUT", "").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_that_grew_too_large_for_something_on_the_way_shrink_again() {
    const MOST: usize = 20 << 20;
    let dir = tempfile::tempdir().unwrap();
    let blob = noise(60 << 20);
    std::fs::write(dir.path().join("blob"), &blob).unwrap();
    let fake = Fake::start_early(|r, _| {
        let length: usize = r.header("content-length").map_or(0, |length| length.parse().unwrap());
        (length > MOST).then(|| Reply::new(413).body("too large"))
    })
    .await;
    let client = builder().journal(dir.path().join("journal")).build();
    let (name, source) = (reference(fake.address, "x:1"), FileSource(dir.path().join("blob")));
    client.push_blob(&name, &layer(&blob), &source, &PushOptions::default()).await.unwrap();
    assert!(fake.content().blobs[layer(&blob).digest.as_str()] == blob);
    assert_eq!(fake.content().received, blob.len() as u64, "nothing that was taken is sent again");
}
