//! The rest of R-060 to R-082: each row that has no test in `push`, `copy` or `debian`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use cooper_oci::{Descriptor, Manifest, Reference, media};
use cooper_registry_client::{CopyOptions, ErrorKind, FileSource, PushOptions, Pushed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::common::fake::{Fake, Reply, manifest as served, usual};
use crate::common::{builder, layer, manifest, noise, reference};

fn chunks(bytes: u64) -> PushOptions {
    PushOptions { chunk_bytes: Some(bytes), ..PushOptions::default() }
}

async fn push(
    fake: &Fake,
    blob: &[u8],
    options: &PushOptions,
) -> Result<Pushed, cooper_registry_client::Error> {
    let source = Bytes::from(blob.to_vec());
    builder().build().push_blob(&reference(fake.address, "x:1"), &layer(blob), &source, options).await
}

#[tokio::test]
async fn r060_what_head_says() {
    let blob = noise(1000);
    for (status, want) in
        [200, 400, 403, 404, 405, 500].map(|s| (s, if s == 200 { Pushed::Existed } else { Pushed::Uploaded }))
    {
        let fake = Fake::start(move |r, _| (r.method == "HEAD").then(|| Reply::new(status))).await;
        assert_eq!(push(&fake, &blob, &PushOptions::default()).await.unwrap(), want, "{status}");
    }
    // A redirect of HEAD is followed without credentials.
    let store = Fake::start(|_, _| Some(Reply::new(200).header("content-length", 1000))).await;
    let there = store.address;
    let fake = Fake::start(move |r, _| {
        if r.header("authorization").is_none() {
            return Some(Reply::new(401).header("www-authenticate", "Basic realm=x"));
        }
        (r.method == "HEAD").then(|| Reply::new(307).header("location", format!("http://{there}/b")))
    })
    .await;
    let host = fake.address.to_string();
    let password = cooper_registry_client::Secret::new("pw");
    let credential = cooper_registry_client::Credential::Basic { username: "ann".into(), password };
    let client = builder().credential(&host, credential).build();
    let pushed = client
        .push_blob(
            &reference(&host, "x:1"),
            &layer(&blob),
            &Bytes::from(blob.clone()),
            &PushOptions::default(),
        )
        .await;
    assert_eq!(pushed.unwrap(), Pushed::Existed);
    assert!(store.log()[0].header("authorization").is_none());
}

#[tokio::test]
async fn r062_locations_of_all_forms() {
    let blob = noise(1000);
    let good: [fn(&str) -> String; 6] = [
        |host| format!("http://{host}/v2/x/blobs/uploads/upload-1?_state=a%3Db"),
        |_| "/v2/x/blobs/uploads/upload-1".into(),
        |_| "upload-1".into(),
        |_| "../uploads/upload-1".into(),
        |host| format!("null://{host}/v2/x/blobs/uploads/upload-1"),
        |host| format!("HTTP://{host}/v2/x/blobs/uploads/upload-1"),
    ];
    for form in good {
        let fake = Fake::start(move |r, c| {
            (r.method == "POST").then(|| {
                usual(c, r);
                Reply::new(202).header("location", form(r.header("host").unwrap()))
            })
        })
        .await;
        push(&fake, &blob, &PushOptions::default()).await.unwrap();
        assert!(fake.content().blobs.contains_key(layer(&blob).digest.as_str()));
    }
    let bad = ["http://user:pw@127.0.0.1/up", "ftp://127.0.0.1/up", "http://evil.test/up", ""];
    for location in bad {
        let fake = Fake::start(move |r, _| {
            let reply = Reply::new(202);
            (r.method == "POST")
                .then(|| if location.is_empty() { reply } else { reply.header("location", location) })
        })
        .await;
        let error = push(&fake, &blob, &PushOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{location}");
        assert!(fake.requests("PUT", "").is_empty() && fake.requests("PATCH", "").is_empty());
    }
}

#[tokio::test]
async fn r063_the_blob_never_rides_on_the_post() {
    let blob = noise(1000);
    let fake = Fake::start(|_, _| None).await;
    push(&fake, &blob, &PushOptions::default()).await.unwrap();
    let posts = fake.requests("POST", "");
    assert_eq!(posts.len(), 1);
    assert!(posts[0].body.is_empty() && posts[0].queries("digest").is_empty());
}

#[tokio::test]
async fn r064_chunks_say_where_they_belong_and_follow_the_location() {
    let blob = noise(25_000);
    let fake = Fake::start(|r, c| {
        (r.method == "PATCH").then(|| {
            let n = c.nth(r);
            let reply = usual(c, r);
            // A new address each time, and the old ones are dead.
            let bytes = c.uploads.remove(r.path.rsplit('/').next().unwrap()).unwrap();
            let next = format!("upload-{}", bytes.len() + n);
            c.uploads.insert(next.clone(), bytes);
            drop(reply);
            Reply::new(202).header("location", next)
        })
    })
    .await;
    push(&fake, &blob, &chunks(10_000)).await.unwrap();
    let sent: Vec<_> = fake
        .requests("PATCH", "")
        .iter()
        .map(|r| {
            (r.header("content-range").unwrap().to_owned(), r.header("content-length").unwrap().to_owned())
        })
        .collect();
    let want = [("0-9999", "10000"), ("10000-19999", "10000"), ("20000-24999", "5000")];
    assert_eq!(sent, want.map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert!(fake.content().blobs[layer(&blob).digest.as_str()] == blob);
}

#[tokio::test]
async fn r064_the_next_chunk_begins_where_the_registry_says() {
    let blob = noise(25_000);
    // It takes at most 6,000 bytes of a chunk, and says so in one of both forms.
    for unit in ["", "bytes="] {
        let fake = Fake::start(move |r, c| {
            let mut part = r.clone();
            part.body.truncate(6_000);
            (r.method == "PATCH").then(|| {
                usual(c, &part);
                let end = c.uploads["upload-1"].len() - 1;
                Reply::new(202).header("range", format!("{unit}0-{end}"))
            })
        })
        .await;
        push(&fake, &blob, &chunks(10_000)).await.unwrap();
        let sent = fake.requests("PATCH", "");
        let sent: Vec<_> = sent.iter().map(|r| r.header("content-range").unwrap()).collect();
        assert_eq!(sent, ["0-9999", "6000-15999", "12000-21999", "18000-24999", "24000-24999"]);
        assert!(fake.content().blobs[layer(&blob).digest.as_str()] == blob);
        assert!(fake.requests("GET", "upload-1").is_empty(), "nothing had to be asked");
    }
}

#[tokio::test]
async fn r065_absurd_minimum_chunks() {
    let blob = noise(30_000);
    for least in ["1000000000000000000", "x", "-1", "99999999999999999999999"] {
        let fake = Fake::start(move |r, c| {
            (r.method == "POST").then(|| usual(c, r).header("oci-chunk-min-length", least))
        })
        .await;
        push(&fake, &blob, &chunks(10_000)).await.unwrap();
        // What no chunk can be large enough for goes in one body; what is no number is not there.
        let whole = least.starts_with('1');
        assert_eq!(fake.requests("PATCH", "").len(), if whole { 0 } else { 3 }, "{least}");
        assert_eq!(fake.requests("PUT", "")[0].body.len(), if whole { blob.len() } else { 0 }, "{least}");
    }
}

#[tokio::test]
async fn r066_any_success_of_a_chunk_is_one() {
    let blob = noise(30_000);
    for status in [200, 201, 202, 204] {
        let fake = Fake::start(move |r, c| {
            (r.method == "PATCH").then(|| {
                usual(c, r);
                Reply::new(status)
            })
        })
        .await;
        push(&fake, &blob, &chunks(10_000)).await.unwrap();
        assert_eq!(fake.requests("PATCH", "").len(), 3, "{status}");
    }
}

#[tokio::test]
async fn r067_a_416_is_settled_by_asking() {
    let blob = noise(40_000);
    // The registry lost the second chunk; it says so, and is believed.
    let fake = Fake::start(|r, c| {
        (r.method == "PATCH" && c.nth(r) == 2).then(|| Reply::new(416).header("range", "0-9999"))
    })
    .await;
    push(&fake, &blob, &chunks(10_000)).await.unwrap();
    assert_eq!(fake.requests("GET", "upload-1").len(), 1);
    assert_eq!(fake.requests("POST", "").len(), 1);
    // What it says cannot be, or says nothing: a new session.
    for range in [Some("0-99999999"), Some("0-0"), None] {
        let fake = Fake::start(move |r, c| {
            if r.is("GET", "upload-1") {
                let reply = Reply::new(204);
                return Some(range.map_or(reply.clone(), |range| reply.header("range", range)));
            }
            (r.is("PATCH", "upload-1") && c.nth(r) == 2).then(|| Reply::new(416))
        })
        .await;
        push(&fake, &blob, &chunks(10_000)).await.unwrap();
        assert_eq!(fake.requests("POST", "").len(), 2, "{range:?}");
        assert_eq!(fake.requests("DELETE", "upload-1").len(), 1, "the first is given up");
        assert!(fake.content().blobs[layer(&blob).digest.as_str()] == blob);
    }
}

#[tokio::test]
async fn r068_each_failure_of_a_chunk_is_one_try() {
    let blob = noise(30_000);
    // Nothing is kept of what is refused, so that each try needs a new session.
    for (failures, good) in [(5, true), (6, false)] {
        let count = Arc::new(AtomicUsize::new(0));
        let fake = Fake::start(move |r, _| {
            let refused = r.method == "PATCH" && count.fetch_add(1, Ordering::SeqCst) < failures;
            refused.then(|| Reply::new(503))
        })
        .await;
        let pushed = push(&fake, &blob, &chunks(10_000)).await;
        assert_eq!(pushed.is_ok(), good, "{failures}: {pushed:?}");
        assert_eq!(fake.requests("PATCH", "").len(), if good { 8 } else { 6 });
        assert!(fake.content().uploads.is_empty());
    }
}

#[tokio::test]
async fn r073_the_tag_comes_last_and_only_when_all_is_there() {
    let source = Fake::start(|_, _| None).await;
    let image = manifest(&Descriptor::of(media::OCI_CONFIG, b"{}"), &layer(&noise(5000)));
    let entry = Descriptor::of(media::OCI_MANIFEST, &image);
    let index = serde_json::to_vec(&cooper_oci::Index::new(vec![entry.clone()])).unwrap();
    {
        let mut content = source.content();
        content.add(b"{}");
        content.add(&noise(5000));
        content.manifests.insert(entry.digest.to_string(), served(&image));
        content.manifests.insert("1".into(), (media::OCI_INDEX.into(), index.clone()));
        content
            .manifests
            .insert(Descriptor::of("", &index).digest.to_string(), (media::OCI_INDEX.into(), index));
    }
    let target = Fake::start(|_, _| None).await;
    let (from, to) = (reference(source.address, "a:1"), reference(target.address, "b:1"));
    builder().build().copy(&from, &to, &CopyOptions::default()).await.unwrap();
    let puts: Vec<_> = target.requests("PUT", "").iter().map(|r| r.path.clone()).collect();
    assert!(puts[..2].iter().all(|p| p.contains("/blobs/uploads/")), "{puts:?}");
    assert!(puts[2].ends_with(entry.digest.as_str()) && puts[3].ends_with("/manifests/1"), "{puts:?}");
    // What another registry holds cannot be mounted (R-071).
    assert!(target.requests("POST", "").iter().all(|r| r.queries("mount").is_empty()));
    // A blob that does not get there leaves the old tag as it was.
    let target =
        Fake::start(|r, _| (r.method == "PUT" && r.body.len() == 5000).then(|| Reply::new(403))).await;
    let old = manifest(&layer(b"old"), &layer(b"old"));
    target.content().manifests.insert("1".into(), served(&old));
    let to = reference(target.address, "b:1");
    builder().build().copy(&from, &to, &CopyOptions::default()).await.unwrap_err();
    assert_eq!(target.content().manifests["1"].1, old);
    assert!(target.requests("PUT", "/manifests/").is_empty());
}

#[tokio::test]
async fn r074_r077_what_a_manifest_is_sent_with() {
    let bytes = manifest(&layer(b"c"), &layer(b"l"));
    let digest = Descriptor::of("", &bytes).digest;
    for status in [200, 201, 202, 204] {
        let fake = Fake::start(move |r, _| (r.method == "PUT").then(|| Reply::new(status))).await;
        let name = reference(fake.address, "x:1");
        assert_eq!(
            builder().build().push_manifest(&name, media::DOCKER_MANIFEST, bytes.clone()).await.unwrap(),
            digest
        );
        let put = &fake.requests("PUT", "")[0];
        assert_eq!((put.path.as_str(), put.query.as_str()), ("/v2/x/manifests/1", ""));
        assert_eq!(put.header("content-type"), Some(media::DOCKER_MANIFEST));
        assert_eq!(put.body, bytes);
    }
    let fake = Fake::start(|r, _| {
        let other = Descriptor::of("", b"other").digest;
        (r.method == "PUT").then(|| Reply::new(201).header("docker-content-digest", other))
    })
    .await;
    let name = reference(fake.address, "x:1");
    let error = builder().build().push_manifest(&name, media::OCI_MANIFEST, bytes.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch);
    for (status, kind) in [(400, ErrorKind::Protocol), (413, ErrorKind::TooLarge), (404, ErrorKind::NotFound)]
    {
        let fake = Fake::start(move |_, _| Some(Reply::new(status))).await;
        let name = reference(fake.address, "x:1");
        let error =
            builder().build().push_manifest(&name, media::OCI_MANIFEST, bytes.clone()).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(fake.requests("PUT", "").len(), 1);
    }
}

#[tokio::test]
async fn r046_r076_each_blob_once_and_again_if_it_vanished() {
    let source = Fake::start(|_, _| None).await;
    let (config, top) = (Descriptor::of(media::OCI_CONFIG, b"{}"), layer(&noise(5000)));
    // One layer three times.
    let image =
        serde_json::to_vec(&Manifest::new(config, vec![top.clone(), top.clone(), top.clone()])).unwrap();
    {
        let mut content = source.content();
        content.add(b"{}");
        content.add(&noise(5000));
        content.manifests.insert("1".into(), served(&image));
    }
    // The target says that it has the layer, and then that it has not: it was cleaned up in between.
    let digest = top.digest.to_string();
    let target = Fake::start(move |r, c| {
        if r.is("HEAD", &digest) && c.nth(r) == 1 {
            return Some(Reply::new(200));
        }
        let missing = !c.blobs.contains_key(&digest);
        let body = r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"gone"}]}"#;
        (r.is("PUT", "/manifests/") && missing).then(|| Reply::new(404).body(body))
    })
    .await;
    let (from, to) = (reference(source.address, "a:1"), reference(target.address, "b:1"));
    let copied = builder().build().copy(&from, &to, &CopyOptions::default()).await.unwrap();
    assert_eq!(copied.blobs_sent, 2);
    assert!(target.content().manifests.contains_key("1"));
    assert_eq!(source.requests("GET", top.digest.as_str()).len(), 1);
}

#[tokio::test]
async fn r078_an_early_refusal_is_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                loop {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.ok()?);
                    }
                    let head = String::from_utf8(head).ok()?;
                    let answer = match head.split(' ').next()? {
                        "HEAD" => "HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n",
                        "POST" => "HTTP/1.1 202 X\r\nlocation: /up\r\ncontent-length: 0\r\n\r\n",
                        // Before any of the body was read.
                        "PUT" => "HTTP/1.1 413 X\r\ncontent-length: 9\r\nconnection: close\r\n\r\ntoo large",
                        _ => "HTTP/1.1 204 X\r\n\r\n",
                    };
                    stream.write_all(answer.as_bytes()).await.ok()?;
                    if head.starts_with("PUT") {
                        // Closed by both sides in order, or the answer would be thrown away with the body.
                        stream.shutdown().await.ok()?;
                        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok()?;
                        return Some(());
                    }
                }
            });
        }
    });
    let blob = noise(20 << 20);
    let source = Bytes::from(blob.clone());
    let client = builder().build();
    let error = client
        .push_blob(&reference(&host, "x:1"), &layer(&blob), &source, &PushOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains("too large"), "{error}");
}

#[tokio::test]
async fn r079_what_will_not_get_better_is_told_at_once() {
    let blob = noise(1000);
    for (status, kind) in [(413, ErrorKind::TooLarge), (507, ErrorKind::Network), (403, ErrorKind::Denied)] {
        let fake = Fake::start(move |r, _| {
            let body = r#"{"errors":[{"code":"DENIED","message":"quota exceeded"}]}"#;
            (r.method == "PUT").then(|| Reply::new(status).body(body))
        })
        .await;
        let error = push(&fake, &blob, &PushOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains("quota exceeded"));
        assert_eq!(fake.requests("PUT", "").len(), 1, "{status}");
    }
}

#[tokio::test]
async fn r082_sizes_are_always_said() {
    // The fake refuses what is sent without a length.
    let dir = tempfile::tempdir().unwrap();
    let blob = noise(3_000_000);
    std::fs::write(dir.path().join("blob"), &blob).unwrap();
    let fake = Fake::start(|_, _| None).await;
    let source = FileSource(dir.path().join("blob"));
    let name: Reference = reference(fake.address, "x:1");
    builder().build().push_blob(&name, &layer(&blob), &source, &PushOptions::default()).await.unwrap();
    let put = &fake.requests("PUT", "")[0];
    assert_eq!(put.header("content-length"), Some("3000000"));
    assert!(put.header("transfer-encoding").is_none() && put.header("expect").is_none());
}
