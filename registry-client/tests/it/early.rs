//! Registries that answer before they have the body of an upload.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cooper_registry_client::{Client, ErrorKind, PushOptions, Pushed};
use tokio::sync::oneshot;

use crate::common::fake::{Fake, Reply, Request};
use crate::common::{NoSleep, builder, layer, noise, reference};

const SIZE: usize = 48 << 20;
/// More than all buffers of a connection hold.
const MUCH: usize = 24 << 20;

fn has_bytes(request: &Request) -> bool {
    matches!(request.method.as_str(), "PUT" | "PATCH") && request.header("content-length") != Some("0")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r083_what_is_refused_before_its_end_is_not_sent_to_its_end() {
    let blob = Bytes::from(noise(SIZE));
    let descriptor = layer(&blob);
    let one_chunk = PushOptions { chunk_bytes: Some(u64::MAX), ..PushOptions::default() };
    for (method, options) in [("PUT", PushOptions::default()), ("PATCH", one_chunk)] {
        for status in [401, 429, 500, 503] {
            let fake = Fake::start_early(move |r, c| {
                if r.path == "/token" {
                    return Some(Reply::new(200).body(r#"{"token":"t"}"#));
                }
                let ask = format!(r#"Bearer realm="http://{}/token""#, r.header("host").unwrap());
                let refused = has_bytes(r) && r.path.ends_with("upload-1") && c.nth(r) == 1;
                let reply = Reply::new(status).header("retry-after", 7).header("www-authenticate", ask);
                refused.then(|| reply.body("not now"))
            })
            .await;
            let naps = Arc::new(NoSleep::default());
            let client = Client::builder().sleeper(naps.clone()).build();
            let image = reference(fake.address, "x:1");
            client.push_blob(&image, &descriptor, &blob, &options).await.unwrap();
            assert!(fake.content().blobs[descriptor.digest.as_str()] == blob);
            fake.until(2, has_bytes).await;
            let log = fake.log();
            let mut sends: Vec<_> = log.iter().filter(|r| has_bytes(r)).map(|r| r.body.len()).collect();
            sends.sort_unstable();
            assert!(sends[0] < MUCH && sends[1..] == [SIZE], "{method} {status}: {sends:?}");
            let waited = naps.0.lock().unwrap().contains(&Duration::from_secs(7));
            assert_eq!(waited, status != 401, "{method} {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r083_a_refusal_before_the_end_is_told_in_the_registrys_words() {
    let blob = Bytes::from(noise(SIZE));
    let fake = Fake::start_early(|r, _| {
        let body = r#"{"errors":[{"code":"DENIED","message":"quota exceeded"}]}"#;
        has_bytes(r).then(|| Reply::new(403).body(body))
    })
    .await;
    let image = reference(fake.address, "x:1");
    let options = PushOptions::default();
    let error = builder().build().push_blob(&image, &layer(&blob), &blob, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("quota exceeded"), "{error}");
    fake.until(1, has_bytes).await;
    assert!(fake.requests("PUT", "")[0].body.len() < MUCH);
    assert!(fake.content().uploads.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r083_success_before_the_end_is_only_believed_of_what_is_there() {
    let blob = Bytes::from(noise(SIZE));
    let descriptor = layer(&blob);
    let one_chunk = PushOptions { chunk_bytes: Some(u64::MAX), ..PushOptions::default() };
    for options in [PushOptions::default(), one_chunk] {
        for is_there in [false, true] {
            let content = blob.clone();
            let fake = Fake::start_early(move |r, c| {
                let hasty = has_bytes(r) && r.path.ends_with("upload-1");
                hasty.then(|| {
                    if is_there {
                        c.add(&content);
                    }
                    Reply::new(201)
                })
            })
            .await;
            let image = reference(fake.address, "x:1");
            let pushed = builder().build().push_blob(&image, &descriptor, &blob, &options).await.unwrap();
            assert_eq!(pushed, Pushed::Uploaded);
            assert!(fake.content().blobs[descriptor.digest.as_str()] == blob);
            let want = if is_there { 1 } else { 2 };
            fake.until(want, has_bytes).await;
            assert_eq!(fake.log().iter().filter(|r| has_bytes(r)).count(), want);
        }
    }
}

/// Many bytes, and then silence without end; tells when nobody waits for more.
struct Unended(usize, Option<oneshot::Sender<()>>);

impl futures_util::Stream for Unended {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let part = self.0.min(64 << 10);
        self.0 -= part;
        if part == 0 { Poll::Pending } else { Poll::Ready(Some(Ok(Bytes::from(vec![7; part])))) }
    }
}

impl Drop for Unended {
    fn drop(&mut self) {
        let _ = self.1.take().unwrap().send(());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r083_a_blob_in_the_making_is_dropped_when_it_is_refused() {
    for status in [201, 413, 429] {
        let fake = Fake::start_early(move |r, _| (r.method == "PATCH").then(|| Reply::new(status))).await;
        let image = reference(fake.address, "x:1");
        let (sender, dropped) = oneshot::channel();
        let stream = Unended(SIZE, Some(sender));
        let client = builder().build();
        client.push_unfinished(&image, stream, std::future::pending()).await.unwrap_err();
        tokio::time::timeout(Duration::from_mins(1), dropped).await.unwrap().unwrap();
        fake.until(1, |r| r.method == "PATCH").await;
        assert!(fake.requests("PATCH", "")[0].body.len() < MUCH);
        assert!(fake.content().uploads.is_empty());
    }
}
