//! Pulling from a scripted registry: breaks, lies, redirects and limits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cooper_oci::{Algorithm, Descriptor, Digest, Hasher, media};
use cooper_registry_client::{
    AsyncWriteSink, Cancel, Client, Credential, Direction, Error, ErrorKind, Limits, Notice, Secret,
    WriteSink,
};

use crate::common::fake::{Fake, Reply, manifest as served, span, usual};
use crate::common::{NoSleep, builder, layer, manifest, noise, reference};

#[tokio::test]
async fn r035_a_broken_transfer_goes_on_where_it_was() {
    let blob = noise(300_000);
    let bytes = blob.clone();
    let fake = Fake::start(move |r, c| {
        let reply = usual(c, r);
        Some(match c.nth(r) {
            1 => reply.cut(100_000),
            2 => reply.cut(70_000),
            _ => reply,
        })
    })
    .await;
    fake.content().add(&blob);
    let file = tempfile::tempfile().unwrap();
    let mut sink = WriteSink::file(file.try_clone().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = seen.clone();
    let client = builder().build().with_observer(Arc::new(move |p| notes.lock().unwrap().push(p.clone())));
    client.pull_blob(&reference(fake.address, "x:1"), &layer(&bytes), &mut sink).await.unwrap();
    let mut back = Vec::new();
    std::io::Seek::rewind(&mut &file).unwrap();
    std::io::Read::read_to_end(&mut &file, &mut back).unwrap();
    assert!(back == bytes);
    let ranges: Vec<_> = fake.log().iter().map(|r| r.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".into()), Some("bytes=170000-".into())]);
    assert!(fake.log().iter().all(|r| r.header("accept-encoding") == Some("identity")));
    let last = seen.lock().unwrap().last().cloned().unwrap();
    assert_eq!((last.direction, last.done_bytes, last.total_bytes), (Direction::Pull, 300_000, 300_000));
}

/// A writer that hashes, and that begins with what it has.
struct Hashing(Vec<u8>);

impl std::io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn r035_what_a_sink_holds_is_not_fetched() {
    let blob = noise(300_000);
    let mut wrong = blob[..100_000].to_vec();
    wrong[5] ^= 1;
    let from = "bytes=100000-";
    for (held, ranges) in [
        (blob[..100_000].to_vec(), vec![Some(from)]),
        (blob.clone(), vec![]),
        // All of it comes again.
        (wrong, vec![Some(from), None]),
    ] {
        let fake = Fake::start(|_, _| None).await;
        fake.content().add(&blob);
        let bytes = held.len() as u64;
        let sink = WriteSink::hashing(
            Hashing(held),
            |w| Digest::sha256_of(&w.0),
            |w| {
                w.0.clear();
                Ok(())
            },
        );
        let mut sink = sink.holding(bytes);
        builder().build().pull_blob(&reference(fake.address, "x:1"), &layer(&blob), &mut sink).await.unwrap();
        assert!(sink.into_inner().await.unwrap().0 == blob);
        let log = fake.log();
        assert_eq!(log.iter().map(|r| r.header("range")).collect::<Vec<_>>(), ranges);
    }
}

#[tokio::test]
async fn r035_servers_without_ranges_are_read_again_from_the_start() {
    let blob = noise(200_000);
    for kind in ["ignored", "wrong", "refused"] {
        let fake = Fake::start(move |r, c| {
            let whole = |c: &crate::common::fake::Content| {
                Reply::new(200).body(c.blobs.values().next().unwrap().clone())
            };
            Some(match (c.nth(r), kind, r.header("range")) {
                (1, ..) => whole(c).cut(90_000),
                (_, "wrong", Some(_)) => Reply::new(206)
                    .header("content-range", "bytes 150000-199999/200000")
                    .body(vec![0; 50_000]),
                (_, "refused", Some(_)) => Reply::new(416),
                _ => whole(c),
            })
        })
        .await;
        fake.content().add(&blob);
        let mut out = Vec::new();
        let image = reference(fake.address, "x:1");
        // This sink cannot restart, and need not.
        builder().build().pull_blob(&image, &layer(&blob), &mut AsyncWriteSink(&mut out)).await.unwrap();
        assert!(out == blob, "{kind}");
    }
}

#[tokio::test]
async fn r034_wrong_bytes_are_tried_once_more_and_then_refused() {
    let blob = noise(1000);
    for bad in [1, usize::MAX] {
        let fake = Fake::start(move |r, c| {
            let mut bytes = c.blobs.values().next().unwrap().clone();
            if c.nth(r) <= bad {
                bytes[500] ^= 1;
            }
            Some(Reply::new(200).body(bytes))
        })
        .await;
        fake.content().add(&blob);
        let image = reference(fake.address, "x:1");
        let result = builder().build().pull_bytes(&image, &layer(&blob)).await;
        assert_eq!(fake.log().len(), 2);
        if bad == 1 {
            assert!(result.unwrap() == blob);
        } else {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DigestMismatch);
            assert!(error.to_string().contains(layer(&blob).digest.as_str()), "{error}");
        }
    }
}

#[tokio::test]
async fn r034_more_or_fewer_bytes_than_described_are_refused() {
    let blob = noise(1000);
    let digest = layer(&blob).digest;
    let fake = Fake::start(|_, _| None).await;
    fake.content().add(&blob);
    for size in [0, 999, 1001, u64::MAX] {
        let descriptor = Descriptor::new(media::OCI_LAYER_TAR, digest.clone(), size);
        let mut out = Vec::new();
        let error = builder().build().pull_blob(&reference(fake.address, "x:1"), &descriptor, &mut out).await;
        assert!(matches!(error, Err(Error::SizeMismatch { .. })), "{size}");
        assert!(out.is_empty());
    }
}

#[tokio::test]
async fn r036_redirects_get_the_range_but_not_the_credentials() {
    let blob = noise(100_000);
    let store = Fake::start(|r, c| {
        let reply = usual(c, r);
        Some(match c.nth(r) {
            1 => reply.cut(40_000),
            // The signed link has expired by now.
            2 => Reply::new(403).body("expired"),
            _ => reply,
        })
    })
    .await;
    store.content().add(&blob);
    let there = store.address;
    let fake = Fake::start(move |r, c| {
        if r.header("authorization").is_none() {
            return Some(Reply::new(401).header("www-authenticate", "Basic realm=x"));
        }
        if r.path.contains("/blobs/") {
            return Some(Reply::new(307).header("location", format!("http://{there}{}?sig=1", r.path)));
        }
        Some(usual(c, r))
    })
    .await;
    let host = fake.address.to_string();
    let credential = Credential::Basic { username: "ann".into(), password: Secret::new("hunter2") };
    let client = builder().credential(&host, credential).build();
    assert!(client.pull_bytes(&reference(&host, "x:1"), &layer(&blob)).await.unwrap() == blob);
    let log = store.log();
    assert_eq!(log.len(), 3);
    assert!(log.iter().all(|r| r.header("authorization").is_none() && r.query == "sig=1"));
    assert_eq!(log[2].header("range"), Some("bytes=40000-"));
    // Each try began at the registry, and showed it the credential again.
    assert_eq!(
        fake.requests("GET", "/blobs/").iter().filter(|r| r.header("authorization").is_some()).count(),
        3
    );
}

#[tokio::test]
async fn r036_a_redirect_back_does_not_bring_the_credentials_back() {
    let blob = noise(100);
    let home = Arc::new(Mutex::new(String::new()));
    let back = home.clone();
    let other = Fake::start(move |r, _| {
        Some(Reply::new(307).header("location", format!("http://{}{}?back=1", back.lock().unwrap(), r.path)))
    })
    .await;
    let there = other.address;
    let fake = Fake::start(move |r, c| match (r.query.as_str(), r.header("authorization")) {
        ("back=1", _) => Some(usual(c, r)),
        (_, None) => Some(Reply::new(401).header("www-authenticate", "Basic realm=x")),
        _ => Some(Reply::new(302).header("location", format!("http://{there}{}", r.path))),
    })
    .await;
    fake.content().add(&blob);
    let host = fake.address.to_string();
    host.clone_into(&mut home.lock().unwrap());
    let credential = Credential::Basic { username: "ann".into(), password: Secret::new("hunter2") };
    let client = builder().credential(&host, credential).build();
    client.pull_bytes(&reference(&host, "x:1"), &layer(&blob)).await.unwrap();
    let returned = fake.log().into_iter().find(|r| r.query == "back=1").unwrap();
    assert!(returned.header("authorization").is_none());
}

#[tokio::test]
async fn r042_retry_after_is_waited_for_and_a_long_one_is_told() {
    let image = manifest(&layer(b"c"), &layer(b"l"));
    let fake = Fake::start(|r, c| (c.nth(r) == 1).then(|| Reply::new(429).header("retry-after", "7"))).await;
    fake.content().manifests.insert("1".into(), served(&image));
    let notes = Arc::new(NoSleep::default());
    let client = Client::builder().sleeper(notes.clone()).build();
    client.resolve(&reference(fake.address, "x:1")).await.unwrap();
    // Once by the request itself, once by the pace of the whole registry.
    let pauses = notes.0.lock().unwrap().clone();
    assert_eq!(pauses[0], Duration::from_secs(7));

    // Without a word about it, we choose the pause ourselves.
    let fake = Fake::start(|r, c| (c.nth(r) <= 3).then(|| Reply::new(429))).await;
    fake.content().manifests.insert("1".into(), served(&image));
    let notes = Arc::new(NoSleep::default());
    let client = Client::builder().sleeper(notes.clone()).build();
    client.resolve(&reference(fake.address, "x:1")).await.unwrap();
    let pauses = notes.0.lock().unwrap().clone();
    assert!(pauses.len() == 3 && pauses.iter().all(|p| *p <= Duration::from_secs(2)), "{pauses:?}");
    assert!(pauses.iter().any(|p| *p > Duration::ZERO), "{pauses:?}");

    let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit"}]}"#;
    let fake = Fake::start(move |_, _| Some(Reply::new(429).header("retry-after", "9000").body(body))).await;
    let error = builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert!(error.to_string().contains("9000 s") && error.to_string().contains("pull rate limit"), "{error}");
    assert_eq!(fake.log().len(), 1);
}

#[tokio::test]
async fn r043_passing_failures_pass_and_lasting_ones_end() {
    let image = manifest(&layer(b"c"), &layer(b"l"));
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let fake = Fake::start(move |r, c| (c.nth(r) < 4).then(|| Reply::new(status))).await;
        fake.content().manifests.insert("1".into(), served(&image));
        builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap();
        assert_eq!(fake.log().len(), 4, "{status}");
    }

    let fake = Fake::start(|_, _| Some(Reply::new(500))).await;
    let error = builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_eq!(fake.log().len(), 6);
    for (status, kind) in [
        (400, ErrorKind::Protocol),
        (403, ErrorKind::Denied),
        (404, ErrorKind::NotFound),
        (405, ErrorKind::Protocol),
        (413, ErrorKind::TooLarge),
        (415, ErrorKind::Protocol),
        (501, ErrorKind::Network),
    ] {
        let fake = Fake::start(move |_, _| Some(Reply::new(status))).await;
        let error = builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(fake.log().len(), 1);
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = builder().build().resolve(&reference(nobody, "x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(error.to_string().contains(&nobody.to_string()), "{error}");
}

#[tokio::test]
async fn r031_manifests_are_held_to_their_digest_and_size() {
    let image = manifest(&layer(b"c"), &layer(b"l"));
    let wanted = Digest::sha256_of(&image);
    // The header lies; the bytes decide.
    let fake = Fake::start(|r, c| {
        let (media_type, bytes) = c.manifests.values().next().unwrap().clone();
        let lie = Digest::sha256_of(b"other");
        r.path.contains("/manifests/").then(|| {
            Reply::new(200)
                .header("content-type", media_type)
                .header("docker-content-digest", lie)
                .body(bytes)
        })
    })
    .await;
    fake.content().manifests.insert("1".into(), served(&image));
    let told = Arc::new(Mutex::new(Vec::new()));
    let notices = told.clone();
    let client =
        builder().on_notice(Arc::new(move |n: &Notice| notices.lock().unwrap().push(n.clone()))).build();
    let image_reference = reference(fake.address, "x:1");
    assert_eq!(client.resolve(&image_reference).await.unwrap().descriptor.digest, wanted);
    let told = || std::mem::take(&mut *told.lock().unwrap());
    let lie = Notice::WrongDigest {
        target: image_reference.to_string(),
        claimed: Digest::sha256_of(b"other").to_string(),
        actual: wanted.to_string(),
    };
    assert_eq!(told(), [lie]);
    let pinned = image_reference.with_digest(wanted.clone());
    assert_eq!(client.resolve(&pinned).await.unwrap().bytes, image);
    assert_eq!(told().len(), 1);
    // No header, one of another algorithm (right or wrong), and one that is none: the bytes decide, too.
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(&image);
    let (right, wrong) = (hasher.finish().to_string(), format!("sha512:{}", "0".repeat(128)));
    for (header, warnings) in [("", 0), (right.as_str(), 0), (wrong.as_str(), 1), ("nonsense", 0)] {
        let (header, bytes) = (header.to_owned(), image.clone());
        let fake = Fake::start(move |_, _| {
            let reply = Reply::new(200).header("content-type", media::OCI_MANIFEST).body(bytes.clone());
            Some(if header.is_empty() { reply } else { reply.header("docker-content-digest", &header) })
        })
        .await;
        let found = client.resolve(&reference(fake.address, "x:1")).await.unwrap();
        assert_eq!(found.descriptor.digest, wanted);
        assert_eq!(told().len(), warnings);
    }
    assert!(fake.log().last().unwrap().path.ends_with(wanted.as_str()), "the digest wins over the tag");
    let error = client.fetch_manifest(&image_reference, &Digest::sha256_of(b"other")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch);
    let small = Limits { manifest_bytes: 10, ..Limits::default() };
    let error = builder().limits(small).build().resolve(&image_reference).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn r039_a_manifest_may_be_named_by_sha512() {
    let image = manifest(&layer(b"c"), &layer(b"l"));
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(&image);
    let digest = hasher.finish();
    let fake = Fake::start(|_, _| None).await;
    let name = reference(fake.address, "x").with_digest(digest.clone());
    let client = builder().build();
    assert_eq!(client.push_manifest(&name, media::OCI_MANIFEST, image.clone()).await.unwrap(), digest);
    let found = client.resolve(&name).await.unwrap();
    assert_eq!((found.descriptor.digest, found.bytes.as_ref()), (digest.clone(), image.as_slice()));
    let other = manifest(&layer(b"c"), &layer(b"other"));
    fake.content().manifests.insert(digest.to_string(), served(&other));
    assert_eq!(client.resolve(&name).await.unwrap_err().kind(), ErrorKind::DigestMismatch);
}

#[tokio::test]
async fn r032_head_falls_back_to_get() {
    let image = manifest(&layer(b"c"), &layer(b"l"));
    // 200 without a digest and length, and 200 with all but the length.
    for status in [200, 201, 404, 405, 501] {
        let fake = Fake::start(move |r, c| {
            let known = c.manifests.contains_key(r.path.rsplit('/').next().unwrap());
            let bare = Reply::new(200)
                .header("content-type", media::OCI_MANIFEST)
                .header("docker-content-digest", Digest::sha256_of(b"other"))
                .open_ended();
            match status {
                201 => (r.method == "HEAD" && known).then_some(bare),
                _ => (r.method == "HEAD").then(|| Reply::new(status)),
            }
        })
        .await;
        fake.content().manifests.insert("1".into(), served(&image));
        let found = builder().build().head_manifest(&reference(fake.address, "x:1")).await.unwrap().unwrap();
        assert_eq!(found, Descriptor::of(media::OCI_MANIFEST, &image));
        let none = builder().build().head_manifest(&reference(fake.address, "x:2")).await.unwrap();
        assert!(none.is_none());
    }
}

#[tokio::test]
async fn r047_embedded_data_is_checked_and_saves_the_request() {
    let fake = Fake::start(|_, _| Some(Reply::new(500))).await;
    let mut descriptor = layer(b"{}");
    descriptor.data = Some("e30=".into());
    let image = reference(fake.address, "x:1");
    assert_eq!(builder().build().pull_bytes(&image, &descriptor).await.unwrap(), "{}");
    // Other bytes, more of them, and no base64.
    for wrong in ["e31=", "e30gIA==", "e30", "%%%%", &"A".repeat(1 << 20)] {
        descriptor.data = Some(wrong.to_owned());
        assert_eq!(
            builder().build().pull_bytes(&image, &descriptor).await.unwrap_err().kind(),
            ErrorKind::Protocol
        );
    }
    assert!(fake.log().is_empty());
}

#[tokio::test]
async fn r038_an_encoded_blob_is_refused() {
    let fake = Fake::start(|_, _| Some(Reply::new(200).header("content-encoding", "gzip").body("xx"))).await;
    let error =
        builder().build().pull_bytes(&reference(fake.address, "x:1"), &layer(b"xx")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn r049_a_long_error_body_is_cut() {
    let fake = Fake::start(|_, _| Some(Reply::new(400).body(vec![b'x'; 1 << 20]))).await;
    let error = builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err();
    assert!(error.to_string().len() < 400 && error.to_string().contains("400: xxx"), "{error}");
}

#[tokio::test]
async fn r093_tags_of_all_pages_once_each() {
    let fake = Fake::start(|r, _| {
        Some(match r.queries("last").first().map(String::as_str) {
            None => Reply::new(200)
                .header("link", r#"</v2/x/tags/list?last=b>; rel="next""#)
                .body(r#"{"name":"x","tags":["b","a"]}"#),
            _ => Reply::new(200).body(r#"{"tags":["c","b","sha256:00"]}"#),
        })
    })
    .await;
    assert_eq!(builder().build().list_tags(&reference(fake.address, "x")).await.unwrap(), ["a", "b", "c"]);
    let fake = Fake::start(|_, _| Some(Reply::new(200).body(r#"{"tags":null}"#))).await;
    assert!(builder().build().list_tags(&reference(fake.address, "x")).await.unwrap().is_empty());
    let endless = r#"</v2/x/tags/list?last=a>; rel="next""#;
    let fake =
        Fake::start(move |_, _| Some(Reply::new(200).header("link", endless).body(r#"{"tags":["a"]}"#)))
            .await;
    let error = builder().build().list_tags(&reference(fake.address, "x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(fake.log().len(), 2);
}

#[tokio::test]
async fn a_cancelled_client_does_nothing_more() {
    let fake = Fake::start(|_, _| None).await;
    let cancel = Cancel::new();
    let client = builder().build().with_cancel(cancel.clone());
    cancel.cancel();
    let error = client.resolve(&reference(fake.address, "x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(fake.log().is_empty());
}

#[tokio::test]
async fn r044_a_silent_transfer_is_left_and_gone_on_with() {
    let blob = noise(100_000);
    let fake = Fake::start(|r, c| {
        let reply = usual(c, r);
        Some(if c.nth(r) == 1 { reply.stall(30_000) } else { reply })
    })
    .await;
    fake.content().add(&blob);
    let limits = Limits { idle_timeout: Duration::from_millis(300), slowest_bytes: 0, ..Limits::default() };
    let client = builder().limits(limits).build();
    assert!(client.pull_bytes(&reference(fake.address, "x:1"), &layer(&blob)).await.unwrap() == blob);
    // On a busy machine the patience may end before all of the 30,000 bytes are read, and more than once.
    let log = fake.log();
    assert!(log.len() >= 2);
    for request in &log[1..] {
        let from = request.header("range").map_or(0, |r| span(r, blob.len()).unwrap().0);
        assert!(from <= 30_000 || log.len() > 2, "{from}");
    }
}
