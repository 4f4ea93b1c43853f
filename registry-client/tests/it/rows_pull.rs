//! The rest of R-030 to R-052: each row that has no test in `pull`, `hosts` or `debian`.

use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cooper_oci::compress::Compression;
use cooper_oci::{Descriptor, Index, Manifest, Platform, compress, media};
use cooper_registry_client::{Client, Document, ErrorKind, Limits, Notice};

use crate::common::fake::{Fake, Reply, manifest as served, usual};
use crate::common::tls::{Authority, Door};
use crate::common::{NoSleep, builder, layer, manifest, noise, reference};

fn sample() -> Vec<u8> {
    manifest(&layer(b"config"), &layer(b"layer"))
}

#[tokio::test]
async fn r030_an_image_of_an_index_takes_one_request_a_part() {
    let fake = Fake::start(|_, _| None).await;
    let mut index = Index::new(Vec::new());
    for platform in ["linux/amd64", "linux/arm/v6", "linux/arm/v7"] {
        let (config, top) = (platform.as_bytes(), noise(platform.len()));
        let bytes = manifest(&Descriptor::of(media::OCI_CONFIG, config), &layer(&top));
        let mut entry = Descriptor::of(media::OCI_MANIFEST, &bytes);
        entry.platform = Some(platform.parse().unwrap());
        let mut content = fake.content();
        content.add(config);
        content.add(&top);
        content.manifests.insert(entry.digest.to_string(), served(&bytes));
        index.manifests.push(entry);
    }
    let bytes = serde_json::to_vec(&index).unwrap();
    fake.content().manifests.insert("1".into(), (media::OCI_INDEX.into(), bytes));
    let (client, name) = (builder().build(), reference(fake.address, "x:1"));
    let Document::Index(index) = client.resolve(&name).await.unwrap().parse().unwrap() else { panic!() };
    let want: Platform = "linux/arm/v7".parse().unwrap();
    let chosen = index.select(&want).unwrap();
    let Document::Manifest(image) =
        client.fetch_manifest(&name, &chosen.digest).await.unwrap().parse().unwrap()
    else {
        panic!()
    };
    assert_eq!(client.pull_bytes(&name, &image.config).await.unwrap(), "linux/arm/v7");
    client.pull_bytes(&name, &image.layers[0]).await.unwrap();
    let asked: Vec<_> = fake.log().iter().map(|r| r.path.rsplit_once("/x/").unwrap().1.to_owned()).collect();
    let wanted = [
        "manifests/1".to_owned(),
        format!("manifests/{}", chosen.digest),
        format!("blobs/{}", image.config.digest),
        format!("blobs/{}", image.layers[0].digest),
    ];
    assert_eq!(asked, wanted);
    assert!(fake.log()[0].header("accept").unwrap().contains(media::DOCKER_LIST));
    assert!(
        !fake.log()[0].header("accept").unwrap().contains("distribution.manifest.v1"),
        "schema 1 is not asked for"
    );
}

#[tokio::test]
async fn r032_head_that_says_404_is_checked_by_get() {
    let fake = Fake::start(|r, _| (r.method == "HEAD").then(|| Reply::new(404))).await;
    fake.content().manifests.insert("1".into(), served(&sample()));
    let found = builder().build().head_manifest(&reference(fake.address, "x:1")).await.unwrap();
    assert_eq!(found.unwrap(), Descriptor::of(media::OCI_MANIFEST, &sample()));
}

#[tokio::test]
async fn r033_content_types_of_all_kinds() {
    let mut typed = Manifest::new(layer(b"config"), vec![layer(b"layer")]);
    let with = serde_json::to_vec(&typed).unwrap();
    typed.media_type = None;
    let without = serde_json::to_vec(&typed).unwrap();
    // The type of the answer, its body, whether it is taken of a tag, and of a digest.
    let table: [(Option<&str>, &[u8], bool, bool); 8] = [
        (Some(media::OCI_MANIFEST), &with, true, true),
        (Some(media::OCI_MANIFEST), &without, true, true),
        (Some("Application/Vnd.oci.image.manifest.v1+json;charset=UTF-8"), &with, true, true),
        (Some("text/plain"), &with, true, true),
        (Some("application/json"), &with, true, true),
        (None, &with, false, true),
        (None, &without, false, false),
        (Some(media::OCI_INDEX), &with, false, false),
    ];
    for (kind, bytes, of_tag, of_digest) in table {
        let body = bytes.to_vec();
        let fake = Fake::start(move |_, _| {
            let reply = Reply::new(200).body(body.clone());
            Some(match kind {
                Some(kind) => reply.header("content-type", kind),
                None => reply,
            })
        })
        .await;
        let name = reference(fake.address, "x:1");
        assert_eq!(builder().build().resolve(&name).await.is_ok(), of_tag, "{kind:?}");
        let pinned = name.with_digest(Descriptor::of("", bytes).digest);
        assert_eq!(builder().build().resolve(&pinned).await.is_ok(), of_digest, "{kind:?}");
    }
}

#[tokio::test]
async fn r034_r043_an_end_without_a_length_is_not_success() {
    let blob = noise(100_000);
    let fake = Fake::start(|r, c| {
        let bytes = c.blobs.values().next().unwrap().clone();
        let from = r.header("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let reply = match from {
            Some(from) => {
                let _: usize = from;
                Reply::new(206)
                    .header("content-range", format!("bytes {from}-99999/100000"))
                    .body(&bytes[from..])
            }
            None => Reply::new(200).body(bytes),
        };
        // Closed in the middle, as if that were the end.
        Some(if c.nth(r) <= 2 { reply.open_ended().cut(30_000) } else { reply })
    })
    .await;
    fake.content().add(&blob);
    let name = reference(fake.address, "x:1");
    assert!(builder().build().pull_bytes(&name, &layer(&blob)).await.unwrap() == blob);
    assert_eq!(fake.log().len(), 3);
}

#[tokio::test]
async fn r036_redirects_end() {
    let fake = Fake::start(|r, _| Some(Reply::new(302).header("location", r.path.as_str()))).await;
    let name = reference(fake.address, "x:1");
    let error = builder().build().pull_bytes(&name, &layer(b"x")).await.unwrap_err();
    assert!(error.to_string().contains("too many redirects"), "{error}");
    assert_eq!(fake.log().len(), 11);
    for status in [301, 302, 303, 307, 308] {
        let blob = noise(100);
        let fake = Fake::start(move |r, c| {
            let moved = r
                .path
                .starts_with("/v2/")
                .then(|| Reply::new(status).header("location", format!("../../../store{}", r.path)));
            moved.or_else(|| Some(usual(c, r)))
        })
        .await;
        fake.content().add(&blob);
        let name = reference(fake.address, "x:1");
        assert!(builder().build().pull_bytes(&name, &layer(&blob)).await.unwrap() == blob, "{status}");
        // The next blob is asked of the registry again.
        builder().build().pull_bytes(&name, &layer(&blob)).await.unwrap();
        assert_eq!(fake.log().iter().filter(|r| r.path.starts_with("/v2/")).count(), 2);
    }
}

#[tokio::test]
async fn r037_a_redirect_from_tls_to_plain_is_refused() {
    let Some(authority) = Authority::new() else { return };
    let blob = noise(100);
    let plain = Fake::start(|_, _| None).await;
    plain.content().add(&blob);
    let there = plain.address;
    let fake = Fake::start(move |r, _| {
        Some(Reply::new(307).header("location", format!("http://{there}{}", r.path)))
    })
    .await;
    let door = Door::open("127.0.0.1:0", fake.address, &authority.issue("a", "IP:127.0.0.1", 2), None).await;
    let pem = std::fs::read(authority.pem()).unwrap();
    let client = builder().root_certificates_pem(&pem).unwrap().build();
    let error = client.pull_bytes(&reference(door.address, "x:1"), &layer(&blob)).await.unwrap_err();
    assert!(error.to_string().contains("https to http"), "{error}");
    assert!(plain.log().is_empty());
}

#[tokio::test]
async fn r038_compressed_layers_come_as_they_are() {
    use std::io::Write as _;
    let content = noise(50_000);
    let gzip = || {
        let mut encoder = compress::encoder(Vec::new(), Compression::Gzip, None, 1).unwrap();
        encoder.write_all(&content[..20_000]).unwrap();
        let mut all = encoder.finish().unwrap();
        // A second member.
        let mut encoder = compress::encoder(Vec::new(), Compression::Gzip, None, 1).unwrap();
        encoder.write_all(&content[20_000..]).unwrap();
        all.extend(encoder.finish().unwrap());
        all
    };
    let zstd = || {
        let mut all = Vec::new();
        for part in content.chunks(20_000) {
            let mut encoder = compress::encoder(Vec::new(), Compression::Zstd, None, 1).unwrap();
            encoder.write_all(part).unwrap();
            all.extend(encoder.finish().unwrap());
            // A skippable frame, as zstd:chunked has.
            all.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        }
        all
    };
    let forms = [
        (media::OCI_LAYER_GZIP, gzip()),
        (media::DOCKER_LAYER_GZIP, gzip()),
        (media::OCI_LAYER_ZSTD, zstd()),
        (media::OCI_LAYER_TAR, content.clone()),
    ];
    let fake = Fake::start(|_, _| None).await;
    for (kind, bytes) in &forms {
        fake.content().add(bytes);
        let pulled = builder()
            .build()
            .pull_bytes(&reference(fake.address, "x:1"), &Descriptor::of(*kind, bytes))
            .await
            .unwrap();
        let mut back = Vec::new();
        let compression = media::compression_of(kind).unwrap();
        compress::decoder(pulled.as_ref(), compression).unwrap().read_to_end(&mut back).unwrap();
        assert!(back == content, "{kind}");
    }
    // What the server itself encodes is refused: the digest is of the blob, not of its encoding.
    let fake =
        Fake::start(|_, _| Some(Reply::new(200).header("content-encoding", "gzip, gzip").body("xx"))).await;
    let error =
        builder().build().pull_bytes(&reference(fake.address, "x:1"), &layer(b"xx")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn r040_addresses_in_a_descriptor_are_never_asked() {
    let elsewhere = Fake::start(|_, _| None).await;
    let blob = noise(100);
    elsewhere.content().add(&blob);
    let mut foreign = Descriptor::of(media::OCI_LAYER_FOREIGN_TAR, &blob);
    foreign.urls = vec![format!("http://{}/v2/x/blobs/{}", elsewhere.address, foreign.digest)];
    let fake = Fake::start(|_, _| None).await;
    let error = builder().build().pull_bytes(&reference(fake.address, "x:1"), &foreign).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(elsewhere.log().is_empty());
}

#[tokio::test]
async fn r041_schema_1_is_refused_with_a_hint() {
    let old = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let fake = Fake::start(move |_, _| {
        Some(Reply::new(200).header("content-type", old).body(r#"{"schemaVersion":1,"fsLayers":[]}"#))
    })
    .await;
    let name = reference(fake.address, "x:1");
    let error = builder().build().resolve(&name).await.unwrap_err();
    assert!(error.to_string().contains("schema 1") && error.to_string().contains("push the image again"));
    // Whatever it is called, also of a digest.
    let body = r#"{"schemaVersion":1,"name":"x","fsLayers":[],"history":[],"signatures":[]}"#;
    let pinned = name.with_digest(Descriptor::of("", body.as_bytes()).digest);
    for kind in ["application/json", "text/plain", media::OCI_MANIFEST, media::DOCKER_MANIFEST] {
        let fake =
            Fake::start(move |_, _| Some(Reply::new(200).header("content-type", kind).body(body))).await;
        for name in [
            reference(fake.address, "x:1"),
            reference(fake.address, "x").with_digest(pinned.digest.clone().unwrap()),
        ] {
            let error = builder().build().resolve(&name).await.unwrap_err();
            assert!(error.to_string().contains("schema 1"), "{kind}: {error}");
        }
    }
}

#[tokio::test]
async fn r042_a_pause_is_for_the_whole_registry_and_has_a_budget() {
    let fake = Fake::start(|r, c| (c.nth(r) == 1).then(|| Reply::new(429).header("retry-after", "3"))).await;
    for tag in ["1", "2"] {
        fake.content().manifests.insert(tag.into(), served(&sample()));
    }
    let (notes, told) = (Arc::new(NoSleep::default()), Arc::new(Mutex::new(Vec::new())));
    let notices = told.clone();
    let client = Client::builder()
        .sleeper(notes.clone())
        .on_notice(Arc::new(move |n: &Notice| notices.lock().unwrap().push(n.to_string())))
        .build();
    client.resolve(&reference(fake.address, "x:1")).await.unwrap();
    client.resolve(&reference(fake.address, "x:2")).await.unwrap();
    assert!(notes.0.lock().unwrap().contains(&Duration::from_secs(3)));
    let text = told.lock().unwrap()[0].clone();
    assert!(text.contains("asks to wait 3 s") && text.contains("at most 297 s more"), "{text}");
    // A registry that always asks for a little more is left when the budget is used up.
    let fake = Fake::start(|_, _| Some(Reply::new(429).header("retry-after", "100"))).await;
    let error = builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(fake.log().len(), 4, "three times 100 s, and no more");
}

#[tokio::test]
async fn r045_no_more_transfers_at_once_than_agreed() {
    let fake = Fake::start(|_, _| Some(Reply::new(200).length(1000).stall(0))).await;
    let limits = Limits { transfers: 3, ..Limits::default() };
    let client = builder().limits(limits).build();
    let name = reference(fake.address, "x:1");
    let pulls: Vec<_> = (0..10u8)
        .map(|n| {
            let (client, name, blob) = (client.clone(), name.clone(), layer(&[n; 1000]));
            tokio::spawn(async move { client.pull_bytes(&name, &blob).await })
        })
        .collect();
    fake.until(3, |_| true).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.log().len(), 3);
    pulls.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn r048_warnings_are_told_once_each() {
    let fake = Fake::start(|r, c| {
        Some(
            usual(c, r)
                .header("warning", "299 - \"this registry moves\"")
                .header("warning", "110 - \"stale\"")
                .header("warning", format!("299 - \"{}\"", "x".repeat(5000))),
        )
    })
    .await;
    fake.content().manifests.insert("1".into(), served(&sample()));
    let told = Arc::new(Mutex::new(Vec::new()));
    let notices = told.clone();
    let client =
        builder().on_notice(Arc::new(move |n: &Notice| notices.lock().unwrap().push(n.clone()))).build();
    for _ in 0..3 {
        client.resolve(&reference(fake.address, "x:1")).await.unwrap();
    }
    let text = "this registry moves".to_owned();
    assert_eq!(*told.lock().unwrap(), [Notice::Warning { host: fake.address.to_string(), text }]);
}

#[tokio::test]
async fn r049_error_bodies_of_all_kinds() {
    let table: [(&[u8], &str); 6] = [
        (
            br#"{"errors":[{"code":"NAME_INVALID","message":"bad\u001b[31m name"}]}"#,
            "NAME_INVALID (bad[31m name)",
        ),
        (br#"{"errors":[]}"#, "HTTP status 400"),
        (br#"{"errors":{"code":1}}"#, "HTTP status 400"),
        (b"", "HTTP status 400"),
        (b"<html><body>Bad Gateway</body></html>", "<html><body>Bad Gateway"),
        (b"\xff\xfe\x00", "HTTP status 400"),
    ];
    for (body, want) in table {
        let body = body.to_vec();
        let fake = Fake::start(move |_, _| Some(Reply::new(400).body(body.clone()))).await;
        let error = builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err().to_string();
        assert!(error.contains(want) && !error.contains('\u{1b}'), "{error}");
    }
    let fake = Fake::start(|_, _| Some(Reply::new(400).body(vec![b'x'; 8 << 20]).open_ended())).await;
    let error = builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err();
    assert!(error.to_string().len() < 400);
}

#[tokio::test]
async fn r051_everything_has_a_limit() {
    let many = |n: usize| {
        let entry = serde_json::to_string(&layer(b"x")).unwrap();
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, vec![entry; n].join(","))
    };
    let deep =
        format!(r#"{{"schemaVersion":2,"manifests":[],"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let table = [("entries", many(1001).into_bytes()), ("bytes", vec![b' '; (4 << 20) + 1])];
    for (what, body) in table {
        let fake = Fake::start(move |_, _| {
            Some(Reply::new(200).header("content-type", media::OCI_INDEX).body(body.clone()).open_ended())
        })
        .await;
        let error = builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Protocol), "{what}: {error}");
    }
    // Nesting beyond all reason is an error when it is read, not the end of the stack.
    let fake = Fake::start(move |_, _| {
        Some(Reply::new(200).header("content-type", media::OCI_INDEX).body(deep.clone()))
    })
    .await;
    let result = builder().build().resolve(&reference(fake.address, "x:1")).await;
    assert!(result.and_then(|resolved| resolved.parse()).is_err());
    // Headers without end.
    let fake = Fake::start(|_, _| Some(Reply::new(200).header("x-long", "x".repeat(2 << 20)))).await;
    builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err();
    let fake =
        Fake::start(|_, _| Some((0..5000).fold(Reply::new(200), |r, n| r.header(&format!("x-{n}"), n))))
            .await;
    builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err();
}

#[tokio::test]
async fn r052_what_is_not_there_and_what_is_not_allowed() {
    let table = [
        (404, ErrorKind::NotFound, "not found, or no access"),
        (403, ErrorKind::Denied, "denied"),
        (410, ErrorKind::NotFound, "not found"),
    ];
    for (status, kind, words) in table {
        let fake = Fake::start(move |_, _| Some(Reply::new(status))).await;
        let error = builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(words), "{error}");
    }
    // Docker Hub answers 401 for what does not exist, whatever the token.
    let fake = Fake::start(|r, _| {
        let host = r.header("host").unwrap();
        Some(match r.path.as_str() {
            "/token" => Reply::new(200).body(r#"{"token":"t"}"#),
            _ => Reply::new(401).header("www-authenticate", format!("Bearer realm=\"http://{host}/token\"")),
        })
    })
    .await;
    let error = builder().build().resolve(&reference(fake.address, "x:1")).await.unwrap_err();
    assert!(error.to_string().contains("not found, or not open without credentials"), "{error}");
}
