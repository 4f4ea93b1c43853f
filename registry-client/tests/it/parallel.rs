//! Transfers side by side: R-045, and uploads that nobody goes on with: R-072.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cooper_registry_client::{Client, ErrorKind, Limits, PushOptions};

use crate::common::fake::{Fake, Reply};
use crate::common::{builder, layer, noise, reference};

async fn until(mut reached: impl FnMut() -> bool) {
    let work = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), work).await.unwrap();
}

/// A registry of blobs `[n; 1000]`, whose answers come when `open` says so.
async fn gated(open: Arc<AtomicUsize>) -> Fake {
    let asked = AtomicUsize::new(0);
    Fake::start(move |r, _| {
        let digest = r.path.rsplit('/').next()?;
        let body = (0..20u8).map(|n| vec![n; 1000]).find(|b| layer(b).digest.as_str() == digest)?;
        let turn = asked.fetch_add(1, Ordering::SeqCst);
        // The body of the n-th comes when so many are let through.
        (r.method == "GET").then(|| Reply::new(200).body(body).when(open.clone(), turn + 1))
    })
    .await
}

fn pull(
    client: &Client,
    fake: &Fake,
    n: u8,
) -> tokio::task::JoinHandle<cooper_registry_client::Result<Vec<u8>>> {
    let (client, name, blob) = (client.clone(), reference(fake.address, "x:1"), layer(&[n; 1000]));
    tokio::spawn(async move { client.pull_bytes(&name, &blob).await.map(|bytes| bytes.to_vec()) })
}

#[tokio::test]
async fn r045_layers_take_turns_and_each_registry_has_its_own() {
    let (open, other_open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(99)));
    let (fake, other) = (gated(open.clone()).await, gated(other_open).await);
    let client = builder().limits(Limits { transfers: 2, ..Limits::default() }).build();
    for fake in [&fake, &other] {
        client.ping(&fake.address.to_string()).await.unwrap();
        fake.forget();
    }
    let mut pulls = Vec::new();
    for n in 0..6 {
        pulls.push(pull(&client, &fake, n));
        // In this order.
        tokio::task::yield_now().await;
    }
    until(|| fake.log().len() == 2).await;
    // One registry's queue holds nobody up elsewhere.
    for n in 6..9 {
        assert_eq!(pull(&client, &other, n).await.unwrap().unwrap(), [n; 1000]);
    }
    assert_eq!(fake.log().len(), 2);
    for done in 1..=6 {
        open.store(done, Ordering::SeqCst);
        until(|| fake.log().len() == (done + 2).min(6)).await;
    }
    for (n, pull) in pulls.into_iter().enumerate() {
        assert_eq!(pull.await.unwrap().unwrap(), [u8::try_from(n).unwrap(); 1000]);
    }
    // Who came first was served first.
    let asked: Vec<String> = fake.log().iter().map(|r| r.path.clone()).collect();
    let wanted: Vec<String> = (0..6).map(|n| format!("/v2/x/blobs/{}", layer(&[n; 1000]).digest)).collect();
    assert_eq!(asked[2..], wanted[2..], "those after the first two, which are side by side");
}

#[tokio::test]
async fn r045_who_gives_up_makes_room() {
    let open = Arc::new(AtomicUsize::new(0));
    let fake = gated(open.clone()).await;
    let client = builder().limits(Limits { transfers: 1, ..Limits::default() }).build();
    let first = pull(&client, &fake, 0);
    until(|| fake.log().len() == 1).await;
    let waiting: Vec<_> = (1..4).map(|n| pull(&client, &fake, n)).collect();
    first.abort();
    waiting[0].abort();
    open.store(99, Ordering::SeqCst);
    for (n, pull) in waiting.into_iter().enumerate().skip(1) {
        assert_eq!(pull.await.unwrap().unwrap()[0], u8::try_from(n + 1).unwrap());
    }
    assert_eq!(fake.log().len(), 3);
}

/// Blobs of which all but the first never get an answer.
async fn refusing_the_first(status: u16) -> (Fake, Vec<Vec<u8>>) {
    let blobs: Vec<Vec<u8>> = (1..4).map(|n| noise(n * 1000)).collect();
    let first = layer(&blobs[0]).digest.to_string();
    let fake = Fake::start(move |r, _| {
        let put = r.method == "PUT";
        if put && r.queries("digest") == [first.clone()] {
            return Some(Reply::new(status).body(r#"{"errors":[{"code":"DENIED","message":"no"}]}"#));
        }
        put.then(|| Reply::new(100).length(0).stall(0))
    })
    .await;
    (fake, blobs)
}

#[tokio::test]
async fn r045_r072_uploads_that_were_dropped_are_forgotten_at_the_end() {
    let (fake, blobs) = refusing_the_first(403).await;
    let client = builder().build();
    let name = reference(fake.address, "x:1");
    let push = async |blob: &Vec<u8>| {
        let source = Bytes::from(blob.clone());
        client.push_blob(&name, &layer(blob), &source, &PushOptions::default()).await
    };
    let others = async {
        // The others are under way when the first fails.
        until(|| fake.requests("PUT", "").len() >= 2).await;
        push(&blobs[0]).await
    };
    let error = Box::pin(futures_util::future::try_join3(push(&blobs[1]), push(&blobs[2]), others))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(fake.content().uploads.len(), 2, "the failed one is forgotten at once");
    client.close(true).await;
    assert!(fake.content().uploads.is_empty());
    assert_eq!(fake.requests("DELETE", "").len(), 3);
    // It is closed for good.
    assert_eq!(client.ping(&fake.address.to_string()).await.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn r072_closing_ends_what_goes_on_and_keeps_what_can_be_gone_on_with() {
    for keep in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::start(|r, c| {
            (r.is("PATCH", "upload-1") && c.nth(r) == 2).then(|| Reply::new(100).length(0).stall(0))
        })
        .await;
        let client = builder().journal(dir.path()).build();
        let (name, blob) = (reference(fake.address, "x:1"), noise(3000));
        let options = PushOptions { chunk_bytes: Some(1000), ..PushOptions::default() };
        let source = Bytes::from(blob.clone());
        let descriptor = layer(&blob);
        let push = client.push_blob(&name, &descriptor, &source, &options);
        let close = async {
            until(|| fake.requests("PATCH", "").len() == 2).await;
            client.close(keep).await;
        };
        let (result, ()) = tokio::join!(push, close);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(fake.content().uploads.len(), usize::from(keep));
        let notes = || std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len());
        assert_eq!(notes().any(|bytes| bytes > 0), keep);
        // The next client goes on, or begins anew.
        let next = builder().journal(dir.path()).build();
        next.push_blob(&name, &descriptor, &source, &options).await.unwrap();
        assert_eq!(fake.requests("POST", "").len(), if keep { 1 } else { 2 });
        assert_eq!(notes().count(), 0);
    }
}
