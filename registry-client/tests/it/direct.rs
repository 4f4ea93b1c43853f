//! Files that the kernel sends: the same as any other upload, seen from the registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cooper_oci::{Descriptor, Digest};
use cooper_registry_client::{
    Cancel, Client, ErrorKind, FileSource, Limits, PushOptions, Pushed, RetryPolicy,
};
use tempfile::TempDir;

use crate::common::fake::{Fake, Reply, Request};
use crate::common::{builder, layer, noise, reference};

/// More than all buffers of a connection hold.
const MUCH: usize = 24 << 20;

/// A blob in a file.
struct Held {
    dir: TempDir,
    bytes: Vec<u8>,
    descriptor: Descriptor,
}

impl Held {
    fn new(size: usize) -> Self {
        let (dir, bytes) = (tempfile::tempdir().unwrap(), noise(size));
        std::fs::write(dir.path().join("blob"), &bytes).unwrap();
        Self { descriptor: layer(&bytes), dir, bytes }
    }

    fn source(&self) -> FileSource {
        FileSource(self.dir.path().join("blob"))
    }

    async fn push(
        &self,
        client: &Client,
        fake: &Fake,
        options: &PushOptions,
    ) -> cooper_registry_client::Result<Pushed> {
        let name = reference(fake.address, "x:1");
        client.push_blob(&name, &self.descriptor, &self.source(), options).await
    }

    fn is_at(&self, fake: &Fake) -> bool {
        fake.content().blobs.get(self.descriptor.digest.as_str()) == Some(&self.bytes)
    }
}

/// Sends any file by the kernel.
fn eager() -> Client {
    builder().limits(Limits { direct_from: 1, ..Limits::default() }).build()
}

fn in_chunks(bytes: u64) -> PushOptions {
    PushOptions { chunk_bytes: Some(bytes), ..PushOptions::default() }
}

fn sends(request: &Request) -> bool {
    matches!(request.method.as_str(), "PUT" | "PATCH") && request.header("content-length") != Some("0")
}

#[tokio::test]
async fn a_file_goes_as_a_whole_and_in_chunks_with_the_token_that_was_asked_for() {
    let held = Held::new(6_000_000);
    for (options, lengths) in
        [(PushOptions::default(), vec!["6000000"]), (in_chunks(2_000_000), vec!["2000000"; 3])]
    {
        let fake = Fake::start(|r, c| {
            if r.path == "/token" {
                return Some(Reply::new(200).body(r#"{"token":"secret"}"#));
            }
            // The first upload loses its right in the middle.
            let known = r.header("authorization") == Some("Bearer secret") && !(sends(r) && c.nth(r) == 1);
            let ask = format!(r#"Bearer realm="http://{}/token""#, r.header("host").unwrap());
            (!known).then(|| Reply::new(401).header("www-authenticate", ask))
        })
        .await;
        let pushed = held.push(&eager(), &fake, &options).await.unwrap();
        assert_eq!(pushed, Pushed::Uploaded);
        assert!(held.is_at(&fake));
        let log = fake.log();
        let mut sent: Vec<_> = log.iter().filter(|r| sends(r)).collect();
        sent.dedup_by(|b, a| a.header("content-range") == b.header("content-range"));
        let got: Vec<_> = sent.iter().map(|r| r.header("content-length").unwrap()).collect();
        assert_eq!(got, lengths);
        for request in sent {
            assert_eq!(request.header("connection"), Some("close"), "it has a connection of its own");
            assert!(request.header("user-agent").unwrap().starts_with("cooper/"));
            assert_eq!(request.header("host"), Some(fake.address.to_string().as_str()));
            assert_eq!(request.header("content-type"), Some("application/octet-stream"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_before_its_end_is_not_sent_to_its_end() {
    let held = Held::new(2 * MUCH);
    for options in [PushOptions::default(), in_chunks(u64::MAX)] {
        let fake = Fake::start_early(|r, _| {
            let body = r#"{"errors":[{"code":"DENIED","message":"quota exceeded"}]}"#;
            sends(r).then(|| Reply::new(403).body(body))
        })
        .await;
        let error = held.push(&eager(), &fake, &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.to_string().contains("quota exceeded"), "{error}");
        fake.until(1, sends).await;
        assert!(fake.log().iter().find(|r| sends(r)).unwrap().body.len() < MUCH);
        assert!(fake.content().uploads.is_empty());
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_followed_by_another() {
    let held = Held::new(3 * MUCH);
    for options in [PushOptions::default(), in_chunks(MUCH as u64)] {
        let broke = AtomicBool::new(false);
        let fake = Fake::start_cutting(
            |_, _| None,
            move |r, _| (sends(r) && !broke.swap(true, Ordering::Relaxed)).then_some(1_000_000),
        )
        .await;
        assert_eq!(held.push(&eager(), &fake, &options).await.unwrap(), Pushed::Uploaded);
        assert!(held.is_at(&fake));
    }
}

#[tokio::test]
async fn a_file_that_is_too_short_or_gone_is_named_as_the_cause() {
    let mut held = Held::new(4_000_000);
    held.descriptor.size += 1;
    let fake = Fake::start(|_, _| None).await;
    let error = held.push(&eager(), &fake, &PushOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Local, "{error}");
    std::fs::remove_file(held.source().0).unwrap();
    let error = held.push(&eager(), &fake, &PushOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Local, "{error}");
    assert!(fake.content().blobs.is_empty());
}

#[tokio::test]
async fn a_file_with_another_content_is_found_out_by_the_registry() {
    let mut held = Held::new(4_000_000);
    held.descriptor.digest = Digest::sha256_of(b"another");
    let fake = Fake::start(|_, _| None).await;
    let error = held.push(&eager(), &fake, &PushOptions::default()).await.unwrap_err();
    assert!(error.answer().is_some_and(|answer| answer.has_code("DIGEST_INVALID")), "{error}");
}

#[tokio::test]
async fn a_registry_that_takes_nothing_more_is_given_up_and_one_may_cancel() {
    let held = Held::new(2 * MUCH);
    // It reads nothing, and of its answer the end is missing.
    let fake = Fake::start_early(|r, _| sends(r).then(|| Reply::new(202).body("x").stall(0))).await;
    let limits = Limits { direct_from: 1, idle_timeout: Duration::from_millis(200), ..Limits::default() };
    let once = RetryPolicy { max_tries: 1, ..RetryPolicy::default() };
    let client = builder().limits(limits).retry(once).build();
    let error = held.push(&client, &fake, &PushOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");

    let cancel = Cancel::default();
    let (client, stop) = (eager().with_cancel(cancel.clone()), Arc::new(cancel));
    let observed = client.with_observer(Arc::new(move |_| stop.cancel()));
    let error = held.push(&observed, &fake, &PushOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
}
