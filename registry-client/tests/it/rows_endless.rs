//! R-043, R-044, R-049 to R-051: answers that have no end, that end without a word, or that never come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cooper_oci::{Descriptor, Digest, Index, media};
use cooper_registry_client::{CopyOptions, ErrorKind, HostFiles, Hosts, Limits, PushOptions, RetryPolicy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::common::fake::{Fake, Reply, manifest as served};
use crate::common::tls::{Authority, acceptor};
use crate::common::{builder, layer, manifest, noise, reference};

/// A server whose answers begin like this and then go on with `x` for ever; the bytes of them that it got rid of.
async fn endless(head: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, sent) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = sent.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let mut start = Vec::new();
                while !start.ends_with(b"\r\n\r\n") {
                    start.push(stream.read_u8().await.ok()?);
                }
                let text = head.replace("{}", &stream.local_addr().ok()?.to_string());
                stream.write_all(text.as_bytes()).await.ok()?;
                loop {
                    stream.write_all(&[b'x'; 4096]).await.ok()?;
                    count.fetch_add(4096, Ordering::SeqCst);
                }
                #[expect(unreachable_code, reason = "tells the kind of error")]
                Some(())
            });
        }
    });
    (address, sent)
}

/// More than all limits here and all buffers on the way.
const MUCH: usize = 64 << 20;

#[tokio::test]
async fn r049_of_an_endless_error_only_the_beginning_is_read() {
    for head in ["HTTP/1.1 400 X\r\n\r\n", "HTTP/1.1 400 X\r\ncontent-length: 1073741824\r\n\r\n"] {
        let (address, sent) = endless(head).await;
        let client = builder().insecure(address.to_string()).build();
        let error = client.resolve(&reference(address, "x:1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        let text = error.to_string();
        assert!(text.contains("400: xxx") && text.len() < 400, "{text}");
        assert!(sent.load(Ordering::SeqCst) < MUCH);
    }
}

#[tokio::test]
async fn r051_endless_documents_of_all_kinds_are_left_at_their_limit() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.oci.image.index.v1+json\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.oci.image.index.v1+json\r\n\
         content-length: 10737418240\r\n\r\n",
    ] {
        let (address, sent) = endless(head).await;
        let client = builder().insecure(address.to_string()).build();
        let name = reference(address, "x:1");
        let errors = [
            client.resolve(&name).await.unwrap_err(),
            client.list_tags(&name).await.unwrap_err(),
            client.referrers(&name, &Digest::sha256_of(b"x"), None).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        }
        // A config that says that it is too large for memory is not even asked for.
        let before = sent.load(Ordering::SeqCst);
        let large = Descriptor::new(media::OCI_CONFIG, Digest::sha256_of(b"x"), 9 << 20);
        assert_eq!(client.pull_bytes(&name, &large).await.unwrap_err().kind(), ErrorKind::TooLarge);
        assert!(before < MUCH && sent.load(Ordering::SeqCst) < MUCH);
    }
}

#[tokio::test]
async fn r051_an_endless_token_is_left_at_its_limit() {
    let (tokens, sent) = endless("HTTP/1.1 200 OK\r\n\r\n{\"token\":\"").await;
    let fake = Fake::start(move |_, _| {
        let ask = format!(r#"Bearer realm="http://{tokens}/token""#);
        Some(Reply::new(401).header("www-authenticate", ask))
    })
    .await;
    let error = builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains("token answer") && sent.load(Ordering::SeqCst) < MUCH);
}

#[tokio::test]
async fn r044_silence_ends_everywhere() {
    // Each kind of request is answered the first time by a head, and nothing after it.
    let blob = noise(1000);
    let stalls = [("GET", "/token"), ("GET", "/manifests/"), ("GET", "/tags/list"), ("PUT", "/uploads/")];
    for (method, part) in stalls {
        let fake = Fake::start(move |r, c| {
            if r.is(method, part) && c.nth(r) == 1 && !c.uploads.contains_key("upload-2") {
                let (status, length) = if method == "PUT" { (100, 0) } else { (200, 100) };
                return Some(Reply::new(status).length(length).stall(0));
            }
            if r.path == "/token" {
                return Some(Reply::new(200).body(r#"{"token":"t"}"#));
            }
            let ask = format!(r#"Bearer realm="http://{}/token""#, r.header("host").unwrap());
            r.header("authorization").is_none().then(|| Reply::new(401).header("www-authenticate", ask))
        })
        .await;
        let image = manifest(&layer(b"c"), &layer(b"l"));
        fake.content().manifests.insert("1".into(), served(&image));
        let patience = Duration::from_millis(500);
        let limits = Limits {
            idle_timeout: patience,
            answer_timeout: patience,
            commit_timeout: patience,
            ..Limits::default()
        };
        let (client, name) = (builder().limits(limits).build(), reference(fake.address, "x:1"));
        assert_eq!(client.resolve(&name).await.unwrap().bytes, image, "{part}");
        assert_eq!(client.list_tags(&name).await.unwrap(), ["1"], "{part}");
        let source = Bytes::from(blob.clone());
        client.push_blob(&name, &layer(&blob), &source, &PushOptions::default()).await.expect(part);
        assert!(fake.requests(method, part).len() >= 2, "{part}");
    }
}

#[tokio::test]
async fn r043_tls_that_ends_without_a_word_is_a_break() {
    let Some(authority) = Authority::new() else { return };
    let (certificate, key) = authority.issue("server", "IP:127.0.0.1", 2);
    let pem = std::fs::read(authority.pem()).unwrap();
    // With a length that the body does not reach, and without any, where the end is all that tells.
    for length in ["content-length: 100000\r\n", ""] {
        let acceptor = acceptor((&certificate, &key), None, &[]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, count) = (acceptor.clone(), count.clone());
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await.ok()?;
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.ok()?);
                    }
                    let body = noise(100_000);
                    if count.fetch_add(1, Ordering::SeqCst) < 2 {
                        let head = format!("HTTP/1.1 200 OK\r\n{length}\r\n");
                        stream.write_all(head.as_bytes()).await.ok()?;
                        stream.write_all(&body[..40_000]).await.ok()?;
                        stream.flush().await.ok()?;
                        // Closed below TLS: what would tell the end is not sent.
                        return stream.get_mut().0.shutdown().await.ok();
                    }
                    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
                    stream.write_all(head).await.ok()?;
                    stream.write_all(&body).await.ok()?;
                    stream.shutdown().await.ok()
                });
            }
        });
        let client = builder().root_certificates_pem(&pem).unwrap().build();
        let (name, blob) = (reference(address, "x:1"), noise(100_000));
        assert!(client.pull_bytes(&name, &layer(&blob)).await.unwrap() == blob);
        assert_eq!(requests.load(Ordering::SeqCst), 3);
    }
}

#[tokio::test]
async fn r050_mirrors_that_do_not_answer_or_refuse_are_passed_over() {
    let image = manifest(&layer(b"c"), &layer(b"l"));
    let upstream = Fake::start(|_, _| None).await;
    upstream.content().manifests.insert("1".into(), served(&image));
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = Fake::start(|r, _| (r.method != "HEAD").then(|| Reply::new(100).length(0).stall(0))).await;
    let closed = Fake::start(|_, _| Some(Reply::new(403))).await;
    let locked = Fake::start(|_, _| Some(Reply::new(401).header("www-authenticate", "Basic realm=x"))).await;
    for mirror in [nobody, silent.address, closed.address, locked.address] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("registries.conf");
        let text = format!(
            "[[registry]]\nprefix = 'reg.test'\nlocation = '{}'\n[[registry.mirror]]\nlocation = '{mirror}'\n\
             insecure = true\n",
            upstream.address
        );
        std::fs::write(&file, text).unwrap();
        let hosts = Hosts::new(HostFiles { registries: vec![file], ..HostFiles::default() });
        // Long enough for those who do answer.
        let limits = Limits { answer_timeout: Duration::from_secs(1), ..Limits::default() };
        let client = builder().hosts(hosts).limits(limits).build();
        assert_eq!(client.resolve(&reference("reg.test", "app:1")).await.unwrap().bytes, image);
    }
    assert!(silent.log().len() <= 2, "a mirror is not waited for again and again");
}

#[tokio::test]
async fn r044_a_document_that_drips_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.ok()?);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await.ok()?;
                // There is always movement.
                loop {
                    stream.write_all(b" ").await.ok()?;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                #[expect(unreachable_code, reason = "tells the kind of error")]
                Some(())
            });
        }
    });
    let limits = Limits { answer_timeout: Duration::from_millis(300), ..Limits::default() };
    let once = RetryPolicy { max_tries: 1, ..RetryPolicy::default() };
    let client = builder().limits(limits).retry(once).insecure(address.to_string()).build();
    let name = reference(address, "x:1");
    let work =
        async { [client.resolve(&name).await.unwrap_err(), client.list_tags(&name).await.unwrap_err()] };
    for error in tokio::time::timeout(Duration::from_mins(1), work).await.unwrap() {
        assert_eq!(error.kind(), ErrorKind::Network);
        assert!(error.to_string().contains("takes too long"), "{error}");
    }
}

#[tokio::test]
async fn r044_a_registry_that_stops_reading_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                loop {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.ok()?);
                    }
                    let answer: &[u8] = match head.first()? {
                        b'H' => b"HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n",
                        b'D' => b"HTTP/1.1 204 X\r\n\r\n",
                        b'P' if head.starts_with(b"POST") => {
                            b"HTTP/1.1 202 X\r\nlocation: /up\r\ncontent-length: 0\r\n\r\n"
                        }
                        // Nothing is taken of the body, and nothing said.
                        _ => std::future::pending().await,
                    };
                    stream.write_all(answer).await.ok()?;
                }
                #[expect(unreachable_code, reason = "tells the kind of error")]
                Some(())
            });
        }
    });
    let limits = Limits { idle_timeout: Duration::from_millis(500), ..Limits::default() };
    let once = RetryPolicy { max_tries: 1, ..RetryPolicy::default() };
    let client = builder().limits(limits).retry(once).insecure(address.to_string()).build();
    // More than the buffers on the way hold.
    let blob = vec![0; 32 << 20];
    let (name, source) = (reference(address, "x:1"), Bytes::from(blob.clone()));
    let (descriptor, options) = (layer(&blob), PushOptions::default());
    let push = client.push_blob(&name, &descriptor, &source, &options);
    let error = tokio::time::timeout(Duration::from_mins(1), push).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(error.to_string().contains("upload stalled"), "{error}");
}

/// Puts an index of these into a registry, under its digest and a tag.
fn index_at(fake: &Fake, tag: &str, entries: Vec<Descriptor>) -> Descriptor {
    let bytes = serde_json::to_vec(&Index::new(entries)).unwrap();
    let found = Descriptor::of(media::OCI_INDEX, &bytes);
    for name in [tag, found.digest.as_str()] {
        fake.content().manifests.insert(name.to_owned(), (media::OCI_INDEX.to_owned(), bytes.clone()));
    }
    found
}

#[tokio::test]
async fn r051_indexes_within_one_another_have_an_end() {
    let (from, to) = (Fake::start(|_, _| None).await, Fake::start(|_, _| None).await);
    let image = manifest(&layer(b"c"), &layer(b"l"));
    let bottom = Descriptor::of(media::OCI_MANIFEST, &image);
    from.content().manifests.insert(bottom.digest.to_string(), served(&image));
    from.content().add(b"c");
    from.content().add(b"l");
    // One within the other.
    let mut top = bottom.clone();
    for depth in 1..=6 {
        top = index_at(&from, &format!("deep{depth}"), vec![top]);
    }
    let limits = Limits { copied_manifests: 20, ..Limits::default() };
    let client = builder().limits(limits).build();
    let copy = |tag: &str| {
        let names =
            (reference(from.address, &format!("x:{tag}")), reference(to.address, &format!("x:{tag}")));
        let client = client.clone();
        async move { client.copy(&names.0, &names.1, &CopyOptions::default()).await }
    };
    copy("deep4").await.unwrap();
    let error = copy("deep6").await.unwrap_err();
    assert!(error.to_string().contains("indexes in one another"), "{error}");
    // Few documents that are met very often.
    let annotated = |n: usize| {
        let annotations = [("n".to_owned(), n.to_string())].into();
        Descriptor { annotations, ..bottom.clone() }
    };
    let same = index_at(&from, "same", (0..1000).map(annotated).collect());
    let before = from.log().len();
    assert_eq!(copy("same").await.unwrap().manifests, 2);
    assert!(from.log().len() - before < 10, "what is named twice is one");
    let wide: Vec<_> =
        (0..10).map(|n| index_at(&from, &format!("{n}"), vec![same.clone(), annotated(n)])).collect();
    index_at(&from, "wide", wide);
    let before = from.log().len();
    let error = copy("wide").await.unwrap_err();
    assert!(error.to_string().contains("more than 20 manifests"), "{error}");
    assert!(from.log().len() - before < 50);
    assert!(!to.content().manifests.contains_key("wide"));
}
