//! Pushing to a scripted registry: sessions, mounts, breaks and expiring tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use cooper_oci::{Digest, media};
use cooper_registry_client::{Cancel, Client, ErrorKind, PushOptions, Pushed, ReadSource};

use crate::common::fake::{Fake, Reply, usual};
use crate::common::{NoSleep, builder, layer, manifest, noise, reference};

fn chunks(bytes: u64) -> PushOptions {
    PushOptions { chunk_bytes: Some(bytes), ..PushOptions::default() }
}

#[tokio::test]
async fn r061_a_blob_goes_as_one_put_with_its_length() {
    let blob = noise(700_000);
    let fake = Fake::start(|r, c| {
        // A session address with a query that must survive.
        (r.method == "POST").then(|| {
            usual(c, r);
            Reply::new(202).header("location", "upload-1?_state=a%3Db")
        })
    })
    .await;
    let image = reference(fake.address, "x:1");
    let pushed = builder()
        .build()
        .push_blob(&image, &layer(&blob), &Bytes::from(blob.clone()), &PushOptions::default())
        .await
        .unwrap();
    assert_eq!(pushed, Pushed::Uploaded);
    let methods: Vec<_> = fake.log().iter().map(|r| r.method.clone()).collect();
    assert_eq!(methods, ["HEAD", "POST", "PUT"]);
    let put = &fake.requests("PUT", "")[0];
    assert_eq!(put.header("content-length"), Some("700000"));
    assert_eq!(put.header("content-type"), Some("application/octet-stream"));
    assert!(put.query.starts_with("_state=a%3Db&digest=sha256%3A"), "{}", put.query);
    assert_eq!(fake.requests("POST", "")[0].header("content-length"), Some("0"));
    assert!(put.body == blob);
}

#[tokio::test]
async fn r081_what_is_there_is_not_sent_and_equal_pushes_take_turns() {
    let blob = noise(1000);
    let fake = Fake::start(|_, _| None).await;
    let image = reference(fake.address, "x:1");
    let client = builder().build();
    let source = Bytes::from(blob.clone());
    let (descriptor, options) = (layer(&blob), PushOptions::default());
    let (one, two) = tokio::join!(
        client.push_blob(&image, &descriptor, &source, &options),
        client.push_blob(&image, &descriptor, &source, &options),
    );
    assert_eq!((one.unwrap(), two.unwrap()), (Pushed::Uploaded, Pushed::Existed));
    assert_eq!(fake.requests("PUT", "").len(), 1);
    assert!(client.blob_exists(&image, &descriptor.digest).await.unwrap());
}

#[tokio::test]
async fn r071_mounts_are_taken_refused_or_turned_into_uploads() {
    let blob = noise(1000);
    for (status, want) in [201, 202, 400, 401, 403, 404, 405].map(|s| match s {
        201 => (s, Pushed::Mounted { from: "base".into() }),
        _ => (s, Pushed::Uploaded),
    }) {
        let fake = Fake::start(move |r, c| {
            let mount = !r.queries("mount").is_empty();
            match status {
                202 => None,
                _ if mount => {
                    c.add(b"");
                    Some(Reply::new(status))
                }
                _ => None,
            }
        })
        .await;
        let image = reference(fake.address, "x:1");
        let options = PushOptions { mount_from: vec!["x".into(), "base".into()], ..PushOptions::default() };
        let client = builder().build();
        let pushed =
            client.push_blob(&image, &layer(&blob), &Bytes::from(blob.clone()), &options).await.unwrap();
        assert_eq!(pushed, want);
        let posts = fake.requests("POST", "");
        assert_eq!(posts[0].queries("mount"), [layer(&blob).digest.to_string()]);
        assert_eq!(posts[0].queries("from"), ["base"]);
        // The session that a refused mount opened is the one that is used.
        assert_eq!(posts.len(), if status >= 400 { 2 } else { 1 }, "{status}");
    }
    // Asked for alone, the session is given up.
    let fake = Fake::start(|_, _| None).await;
    let digest = layer(&blob).digest;
    assert!(!builder().build().mount_blob(&reference(fake.address, "x:1"), &digest, "base").await.unwrap());
    assert!(fake.content().uploads.is_empty());
    assert_eq!(fake.requests("DELETE", "").len(), 1);
}

#[tokio::test]
async fn r070_a_put_that_breaks_is_repeated_in_a_new_session() {
    let blob = noise(400_000);
    let fake = Fake::start_cutting(|_, _| None, |r, _| (r.is("PUT", "upload-1")).then_some(100_000)).await;
    let image = reference(fake.address, "x:1");
    let client = builder().build();
    client
        .push_blob(&image, &layer(&blob), &Bytes::from(blob.clone()), &PushOptions::default())
        .await
        .unwrap();
    assert_eq!(fake.requests("POST", "").len(), 2);
    assert!(fake.content().blobs[layer(&blob).digest.as_str()] == blob);
}

#[tokio::test]
async fn r068_chunks_go_on_where_the_registry_says() {
    let blob = noise(1_000_000);
    let fake =
        Fake::start_cutting(|_, _| None, |r, c| (r.method == "PATCH" && c.nth(r) == 2).then_some(50_000))
            .await;
    let image = reference(fake.address, "x:1");
    let client = builder().build();
    client.push_blob(&image, &layer(&blob), &Bytes::from(blob.clone()), &chunks(300_000)).await.unwrap();
    let ranges: Vec<_> =
        fake.requests("PATCH", "").iter().map(|r| r.header("content-range").unwrap().to_owned()).collect();
    assert_eq!(ranges, ["0-299999", "300000-599999", "350000-649999", "650000-949999", "950000-999999"]);
    assert_eq!(fake.requests("POST", "").len(), 1);
    assert!(fake.content().blobs[layer(&blob).digest.as_str()] == blob);
    assert_eq!(fake.requests("PUT", "")[0].header("content-length"), Some("0"));
}

#[tokio::test]
async fn r010_r011_a_token_that_expires_in_the_middle_of_an_upload_is_renewed() {
    let blob = noise(500_000);
    for options in [chunks(100_000), PushOptions::default()] {
        let tokens = Arc::new(AtomicUsize::new(0));
        let count = tokens.clone();
        let fake = Fake::start(move |r, c| {
            let host = r.header("host").unwrap();
            if r.path == "/token" {
                let n = count.fetch_add(1, Ordering::SeqCst) + 1;
                return Some(Reply::new(200).body(format!(r#"{{"token":"t{n}"}}"#)));
            }
            // The first token ends at the third chunk, or at the whole body.
            let late = r.method == "PATCH" && c.nth(r) >= 3 || r.method == "PUT";
            let good = match r.header("authorization") {
                Some("Bearer t1") => !late,
                Some(_) => true,
                None => false,
            };
            (!good).then(|| {
                Reply::new(401).header("www-authenticate", format!(r#"Bearer realm="http://{host}/token""#))
            })
        })
        .await;
        let image = reference(fake.address, "x:1");
        builder()
            .build()
            .push_blob(&image, &layer(&blob), &Bytes::from(blob.clone()), &options)
            .await
            .unwrap();
        assert_eq!(tokens.load(Ordering::SeqCst), 2);
        assert!(fake.content().blobs[layer(&blob).digest.as_str()] == blob);
        let sent: usize = fake.log().iter().map(|r| r.body.len()).sum();
        // What was refused is sent again: a chunk, or the whole where it goes as a whole.
        let again = options.chunk_bytes.map_or(blob.len(), |n| usize::try_from(n).unwrap());
        assert!(sent <= blob.len() + again, "{sent}");
    }
}

#[tokio::test]
async fn r010_what_a_registry_kept_of_a_refused_chunk_is_asked_for() {
    let blob = noise(500_000);
    let fake = Fake::start(|r, c| {
        let host = r.header("host").unwrap();
        if r.path == "/token" {
            return Some(Reply::new(200).body(format!(r#"{{"token":"t{}"}}"#, c.nth(r))));
        }
        let ask =
            Reply::new(401).header("www-authenticate", format!(r#"Bearer realm="http://{host}/token""#));
        match r.header("authorization") {
            Some("Bearer t1") if r.method == "PATCH" && c.nth(r) == 3 => {
                // The token ends in the middle of the body.
                c.uploads.get_mut("upload-1").unwrap().extend_from_slice(&r.body[..40_000]);
                Some(ask)
            }
            Some(_) => None,
            None => Some(ask),
        }
    })
    .await;
    let image = reference(fake.address, "x:1");
    let source = Bytes::from(blob.clone());
    builder().build().push_blob(&image, &layer(&blob), &source, &chunks(100_000)).await.unwrap();
    assert!(fake.content().blobs[layer(&blob).digest.as_str()] == blob);
    assert_eq!(fake.requests("GET", "/token").len(), 2);
    assert_eq!(fake.requests("GET", "upload-1").len(), 1, "the registry is asked how much it has");
    let sent = fake.requests("PATCH", "");
    let sent: Vec<_> = sent.iter().map(|r| r.header("content-range").unwrap()).collect();
    assert_eq!(sent[3..5], ["200000-299999", "240000-339999"], "once as it was, then from there on");
    assert_eq!(fake.requests("POST", "").len(), 1);
}

#[tokio::test]
async fn r069_registries_without_chunks_get_one_body() {
    let blob = noise(50_000);
    for status in [404, 405, 501] {
        let fake = Fake::start(move |r, _| (r.method == "PATCH").then(|| Reply::new(status))).await;
        let image = reference(fake.address, "x:1");
        let client = builder().build();
        client.push_blob(&image, &layer(&blob), &Bytes::from(blob.clone()), &chunks(10_000)).await.unwrap();
        assert_eq!(fake.requests("PATCH", "").len(), 1, "{status}");
        assert!(fake.requests("PUT", "")[0].body == blob);
    }
    // And who did not ask for chunks sends none.
    let fake = Fake::start(|_, _| None).await;
    let source = Bytes::from(blob.clone());
    let image = reference(fake.address, "x:1");
    builder().build().push_blob(&image, &layer(&blob), &source, &PushOptions::default()).await.unwrap();
    assert!(fake.requests("PATCH", "").is_empty());
}

#[tokio::test]
async fn r065_the_least_chunk_size_is_kept() {
    let blob = noise(50_000);
    let fake =
        Fake::start(|r, c| (r.method == "POST").then(|| usual(c, r).header("oci-chunk-min-length", "30000")))
            .await;
    let image = reference(fake.address, "x:1");
    let client = builder().build();
    client.push_blob(&image, &layer(&blob), &Bytes::from(blob.clone()), &chunks(10_000)).await.unwrap();
    let sizes: Vec<_> = fake.requests("PATCH", "").iter().map(|r| r.body.len()).collect();
    assert_eq!(sizes, [30_000, 20_000]);
}

#[tokio::test]
async fn r066_stale_ranges_of_a_registry_are_not_believed() {
    let blob = noise(50_000);
    let fake = Fake::start(|r, c| {
        (r.method == "PATCH").then(|| {
            usual(c, r);
            Reply::new(201).header("range", "0-0")
        })
    })
    .await;
    let image = reference(fake.address, "x:1");
    builder()
        .build()
        .push_blob(&image, &layer(&blob), &Bytes::from(blob.clone()), &chunks(20_000))
        .await
        .unwrap();
    assert_eq!(fake.requests("PATCH", "").len(), 3);
}

#[tokio::test]
async fn r062_uploads_to_another_origin_carry_no_credentials() {
    let blob = noise(1000);
    let store = Fake::start(|_, _| Some(Reply::new(201))).await;
    let there = store.address;
    let fake = Fake::start(move |r, _| {
        if r.header("authorization").is_none() {
            return Some(Reply::new(401).header("www-authenticate", "Basic realm=x"));
        }
        (r.method == "POST").then(|| Reply::new(202).header("location", format!("http://{there}/up?sig=1")))
    })
    .await;
    let host = fake.address.to_string();
    let credential = cooper_registry_client::Credential::Basic {
        username: "ann".into(),
        password: cooper_registry_client::Secret::new("hunter2"),
    };
    let client = builder().credential(&host, credential).build();
    let image = reference(&host, "x:1");
    client.push_blob(&image, &layer(&blob), &Bytes::from(blob), &PushOptions::default()).await.unwrap();
    assert_eq!(store.log().len(), 1);
    assert!(store.log()[0].header("authorization").is_none());
}

#[tokio::test]
async fn r079_a_quota_is_told_at_once_and_the_session_given_up() {
    let blob = noise(1000);
    let fake = Fake::start(|r, _| {
        let body = r#"{"errors":[{"code":"DENIED","message":"quota exceeded"}]}"#;
        (r.method == "PUT").then(|| Reply::new(403).body(body))
    })
    .await;
    let image = reference(fake.address, "x:1");
    let error = builder()
        .build()
        .push_blob(&image, &layer(&blob), &Bytes::from(blob), &PushOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("quota exceeded"), "{error}");
    assert!(fake.content().uploads.is_empty());
}

#[tokio::test]
async fn a_source_that_is_not_its_descriptor_is_refused() {
    let fake = Fake::start(|_, _| None).await;
    let image = reference(fake.address, "x:1");
    let other = Bytes::from(vec![7; 1000]);
    let client = builder().build();
    let error =
        client.push_blob(&image, &layer(&noise(1000)), &other, &PushOptions::default()).await.unwrap_err();
    assert!(error.answer().unwrap().has_code("DIGEST_INVALID"));
    assert_eq!(fake.requests("PUT", "").len(), 2);
    assert!(fake.content().blobs.is_empty());
}

#[tokio::test]
async fn r072_a_cancelled_push_makes_the_registry_forget() {
    let blob = noise(1000);
    let cancel = Cancel::new();
    let switch = cancel.clone();
    // Thrown while the body is on its way; the answer never comes.
    let fake = Fake::start(move |r, _| {
        (r.method == "PUT").then(|| {
            switch.cancel();
            Reply::new(100).length(0)
        })
    })
    .await;
    let image = reference(fake.address, "x:1");
    let client = builder().build().with_cancel(cancel);
    let error = client
        .push_blob(&image, &layer(&blob), &Bytes::from(blob), &PushOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(fake.requests("DELETE", "upload-1").len(), 1);
}

#[tokio::test]
async fn r075_a_manifest_waits_for_its_blobs_to_be_seen() {
    let fake = Fake::start(|r, c| {
        let body = r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"not yet"}]}"#;
        (r.method == "PUT" && c.nth(r) == 1).then(|| Reply::new(404).body(body))
    })
    .await;
    let bytes = manifest(&layer(b"c"), &layer(b"l"));
    let image = reference(fake.address, "x:1");
    let notes = Arc::new(NoSleep::default());
    let client = Client::builder().sleeper(notes.clone()).build();
    let digest = client.push_manifest(&image, media::OCI_MANIFEST, bytes.clone()).await.unwrap();
    assert_eq!(digest, Digest::sha256_of(&bytes));
    assert_eq!(notes.0.lock().unwrap().len(), 1, "after a pause");
    // What was just pushed is not looked for again, though the registry would say that it is not there.
    let blind = Fake::start(|r, _| (r.method == "HEAD").then(|| Reply::new(404))).await;
    let name = reference(blind.address, "x:1");
    let source = Bytes::from_static(b"l");
    client.push_blob(&name, &layer(b"l"), &source, &PushOptions::default()).await.unwrap();
    client.push_manifest(&name, media::OCI_MANIFEST, bytes.clone()).await.unwrap();
    assert_eq!(blind.requests("HEAD", "").len(), 1);
    assert_eq!(client.resolve(&image).await.unwrap().bytes, bytes);
    let wrong = image.with_digest(Digest::sha256_of(b"other"));
    let error = client.push_manifest(&wrong, media::OCI_MANIFEST, bytes).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch);
}

#[tokio::test]
async fn r080_an_immutable_tag_is_fine_if_it_is_what_we_push() {
    let bytes = manifest(&layer(b"c"), &layer(b"l"));
    for status in [400, 409, 412] {
        let fake = Fake::start(move |r, _| {
            let body = r#"{"errors":[{"code":"TAG_INVALID","message":"ImageTagAlreadyExists"}]}"#;
            (r.method == "PUT").then(|| Reply::new(status).body(body))
        })
        .await;
        fake.content().manifests.insert("1".into(), crate::common::fake::manifest(&bytes));
        let image = reference(fake.address, "x:1");
        let client = builder().build();
        client.push_manifest(&image, media::OCI_MANIFEST, bytes.clone()).await.unwrap();
        let other = manifest(&layer(b"c"), &layer(b"other"));
        let error = client.push_manifest(&image, media::OCI_MANIFEST, other).await.unwrap_err();
        assert!(error.to_string().contains("ImageTagAlreadyExists"), "{error}");
        assert_eq!(fake.requests("PUT", "").len(), 2, "once each");
    }
}

#[tokio::test]
async fn r062_another_origin_cannot_ask_for_credentials() {
    let blob = noise(1000);
    let evil = Fake::start(|r, c| {
        let ask = Reply::new(401).header("www-authenticate", "Basic realm=x");
        Some(if r.method == "PATCH" && c.nth(r) == 1 { Reply::new(202) } else { ask })
    })
    .await;
    let there = evil.address;
    let fake = Fake::start(move |r, _| {
        if r.header("authorization").is_none() {
            return Some(Reply::new(401).header("www-authenticate", "Basic realm=x"));
        }
        (r.method == "POST").then(|| Reply::new(202).header("location", format!("http://{there}/up")))
    })
    .await;
    let host = fake.address.to_string();
    let password = cooper_registry_client::Secret::new("hunter2");
    let credential = cooper_registry_client::Credential::Basic { username: "ann".into(), password };
    let client = builder().credential(&host, credential).build();
    for options in [chunks(1000), chunks(500), PushOptions::default()] {
        let source = Bytes::from(blob.clone());
        client.push_blob(&reference(&host, "x:1"), &layer(&blob), &source, &options).await.unwrap_err();
    }
    assert!(evil.log().len() >= 3);
    assert!(evil.log().iter().all(|r| r.header("authorization").is_none()));
}

#[tokio::test]
async fn a_source_that_fails_is_the_callers_error() {
    let fake = Fake::start(|_, _| None).await;
    let image = reference(fake.address, "x:1");
    let client = builder().build();
    let blob = noise(500_000);
    let short = Bytes::from(blob[..400_000].to_vec());
    for options in [PushOptions::default(), chunks(100_000)] {
        let error = client.push_blob(&image, &layer(&blob), &short, &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Local, "{error}");
    }
    let broken =
        ReadSource(|_| -> std::io::Result<std::io::Empty> { Err(std::io::ErrorKind::NotFound.into()) });
    let error = client.push_blob(&image, &layer(&blob), &broken, &PushOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Local, "{error}");
    assert!(fake.content().uploads.is_empty());
}

#[tokio::test]
async fn r082_bodies_that_never_get_through_become_chunks() {
    let blob = noise(17 << 20);
    let fake = Fake::start_cutting(
        |_, _| None,
        |r, _| (r.method == "PUT" && r.header("content-length") != Some("0")).then_some(1000),
    )
    .await;
    let image = reference(fake.address, "x:1");
    let client = builder().build();
    client
        .push_blob(&image, &layer(&blob), &Bytes::from(blob.clone()), &PushOptions::default())
        .await
        .unwrap();
    assert_eq!(fake.requests("PATCH", "").len(), 2);
    assert!(fake.content().blobs[layer(&blob).digest.as_str()] == blob);
}

#[tokio::test]
async fn r068_a_registry_that_loses_every_session_is_given_up() {
    let blob = noise(30_000);
    let fake = Fake::start(|r, c| {
        // The first chunk of each session is taken, nothing after it.
        (r.method == "PATCH" && c.nth(r) > 1 || r.is("GET", "upload-")).then(|| Reply::new(404))
    })
    .await;
    let image = reference(fake.address, "x:1");
    let source = Bytes::from(blob.clone());
    let error =
        builder().build().push_blob(&image, &layer(&blob), &source, &chunks(10_000)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!((2..=7).contains(&fake.requests("POST", "").len()));
}
