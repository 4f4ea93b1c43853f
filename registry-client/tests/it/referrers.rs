//! Referrers, tag lists and deletion: R-090 to R-095.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use cooper_oci::{Descriptor, Digest, Index, Manifest, Reference, media};
use cooper_registry_client::{Client, ErrorKind, Limits, PushOptions};

use crate::common::debian::start;
use crate::common::fake::{Fake, Reply, usual};
use crate::common::{builder, reference};

fn subject() -> Descriptor {
    Descriptor::of(media::OCI_MANIFEST, b"the subject")
}

/// A manifest about [`subject`], told apart from others by its kind.
fn about(kind: &str) -> Vec<u8> {
    let empty = Descriptor::of(media::OCI_EMPTY, b"{}");
    let mut manifest = Manifest::new(empty.clone(), vec![empty]);
    manifest.artifact_type = Some(kind.to_owned());
    manifest.subject = Some(subject());
    manifest.annotations.insert("by".into(), kind.to_owned());
    serde_json::to_vec(&manifest).unwrap()
}

fn by_digest(host: impl std::fmt::Display, bytes: &[u8]) -> Reference {
    Reference { tag: None, ..reference(host, "x") }.with_digest(Digest::sha256_of(bytes))
}

fn fallback() -> String {
    format!("sha256-{}", subject().digest.hex())
}

fn index(entries: Vec<Descriptor>) -> Vec<u8> {
    serde_json::to_vec(&Index::new(entries)).unwrap()
}

fn listed(kind: &str) -> Descriptor {
    let mut entry = Descriptor::of(media::OCI_MANIFEST, kind.as_bytes());
    entry.artifact_type = Some(kind.to_owned());
    entry
}

#[tokio::test]
async fn r090_a_registry_that_keeps_referrers_needs_no_tag() {
    let fake =
        Fake::start(|r, c| (r.method == "PUT").then(|| usual(c, r).header("OCI-Subject", subject().digest)))
            .await;
    let bytes = about("application/x-sig");
    let name = by_digest(fake.address, &bytes);
    builder().build().push_manifest(&name, media::OCI_MANIFEST, bytes).await.unwrap();
    assert_eq!(fake.log().len(), 1, "{:?}", fake.log());
}

#[tokio::test]
async fn r091_without_the_api_the_fallback_tag_is_kept() {
    let fake = Fake::start(|_, _| None).await;
    let client = builder().build();
    for kind in ["application/x-one", "application/x-two", "application/x-one"] {
        let bytes = about(kind);
        client.push_manifest(&by_digest(fake.address, &bytes), media::OCI_MANIFEST, bytes).await.unwrap();
    }
    let (media_type, list) = fake.content().manifests[&fallback()].clone();
    assert_eq!(media_type, media::OCI_INDEX);
    let list: Index = serde_json::from_slice(&list).unwrap();
    let kinds: Vec<_> = list.manifests.iter().map(|d| d.artifact_type.clone().unwrap()).collect();
    assert_eq!(kinds, ["application/x-one", "application/x-two"], "each once");
    assert_eq!(list.manifests[0].annotations["by"], "application/x-one");
    let found = client.referrers(&reference(fake.address, "x"), &subject().digest, None).await.unwrap();
    assert_eq!(found, list.manifests);

    // Forgotten before it is deleted.
    client.forget_referrer(&reference(fake.address, "x"), &found[0].digest).await.unwrap();
    let left = client.referrers(&reference(fake.address, "x"), &subject().digest, None).await.unwrap();
    assert_eq!(left, list.manifests[1..]);
}

#[tokio::test]
async fn r091_two_writers_do_not_lose_one_another() {
    // Another writer's list wins the first time ours is written.
    let fake = Fake::start(|r, c| {
        let ours = r.is("PUT", "/manifests/sha256-") && c.nth(r) == 1;
        ours.then(|| {
            let list = index(vec![listed("application/x-theirs")]);
            c.manifests.insert(fallback(), (media::OCI_INDEX.to_owned(), list));
            Reply::new(201)
        })
    })
    .await;
    let bytes = about("application/x-ours");
    let client = builder().build();
    client.push_manifest(&by_digest(fake.address, &bytes), media::OCI_MANIFEST, bytes).await.unwrap();
    let found = client.referrers(&reference(fake.address, "x"), &subject().digest, None).await.unwrap();
    let kinds: Vec<_> = found.iter().map(|d| d.artifact_type.clone().unwrap()).collect();
    assert_eq!(kinds, ["application/x-theirs", "application/x-ours"]);
}

#[tokio::test]
async fn r091_an_entity_tag_guards_the_list() {
    let fake = Fake::start(|r, c| {
        if r.is("GET", "/manifests/sha256-") {
            return Some(usual(c, r).header("etag", "\"v1\""));
        }
        // The list changes between reading and writing, once.
        (r.is("PUT", "/manifests/sha256-") && c.nth(r) == 1).then(|| Reply::new(412))
    })
    .await;
    let list = index(vec![listed("application/x-theirs")]);
    fake.content().manifests.insert(fallback(), (media::OCI_INDEX.to_owned(), list));
    let bytes = about("application/x-ours");
    let client = builder().build();
    client.push_manifest(&by_digest(fake.address, &bytes), media::OCI_MANIFEST, bytes).await.unwrap();
    let writes = fake.requests("PUT", "/manifests/sha256-");
    assert_eq!(writes.len(), 2);
    assert!(writes.iter().all(|w| w.header("if-match") == Some("\"v1\"")));
}

#[tokio::test]
async fn r091_an_image_at_the_fallback_tag_is_not_overwritten() {
    let fake = Fake::start(|_, _| None).await;
    let image = about("application/x-not-a-list");
    fake.content().manifests.insert(fallback(), (media::OCI_MANIFEST.to_owned(), image.clone()));
    let bytes = about("application/x-ours");
    let name = by_digest(fake.address, &bytes);
    let error = builder().build().push_manifest(&name, media::OCI_MANIFEST, bytes).await.unwrap_err();
    assert!(error.to_string().contains("should list referrers"), "{error}");
    assert_eq!(fake.content().manifests[&fallback()].1, image);
}

#[tokio::test]
async fn r091_debian_keeps_the_fallback_tag() {
    let Some(registry) = start(None) else { return };
    let client = Client::builder().build();
    let name = reference(&registry.host, "x:1");
    client
        .push_blob(
            &name,
            &Descriptor::of(media::OCI_EMPTY, b"{}"),
            &Bytes::from_static(b"{}"),
            &PushOptions::default(),
        )
        .await
        .unwrap();
    let pushes = ["application/x-one", "application/x-two", "application/x-three"].map(|kind| {
        let (client, bytes) = (client.clone(), about(kind));
        let name = by_digest(&registry.host, &bytes);
        async move { client.push_manifest(&name, media::OCI_MANIFEST, bytes).await.unwrap() }
    });
    // All at once.
    futures_util::future::join_all(pushes).await;
    assert_eq!(client.referrers(&name, &subject().digest, None).await.unwrap().len(), 3);
    let one = client.referrers(&name, &subject().digest, Some("application/x-one")).await.unwrap();
    assert_eq!(one.len(), 1);
    let none = Digest::sha256_of(b"nothing");
    assert!(client.referrers(&name, &none, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn r092_referrers_come_in_pages_filtered_or_not() {
    for filters in [true, false] {
        let fake = Fake::start(move |r, _| {
            if !r.path.contains("/referrers/") {
                return None;
            }
            let second = !r.queries("page").is_empty();
            let mut reply = Reply::new(200).header("content-type", media::OCI_INDEX);
            if filters {
                reply = reply.header("OCI-Filters-Applied", "artifactType");
            }
            let entries = match (second, filters) {
                (false, true) => vec![listed("a/one")],
                (false, false) => vec![listed("a/one"), listed("a/two")],
                (true, _) => {
                    vec![Descriptor { annotations: [("n".into(), "2".into())].into(), ..listed("a/one") }]
                }
            };
            if !second {
                let link = format!("<{}?page=2>; rel=\"next\"", r.path);
                reply = reply.header("link", link);
            }
            Some(reply.body(index(entries)))
        })
        .await;
        let name = reference(fake.address, "x");
        let found = builder().build().referrers(&name, &subject().digest, Some("a/one")).await.unwrap();
        assert_eq!(found, [listed("a/one")], "each once, of the kind asked for");
        assert_eq!(fake.requests("GET", "/referrers/")[0].queries("artifactType"), ["a/one"]);
    }
}

#[tokio::test]
async fn r092_registries_without_the_api_answer_in_many_ways() {
    let answers: [fn() -> Reply; 6] = [
        || Reply::new(404),
        || Reply::new(400),
        || Reply::new(405),
        || Reply::new(501),
        || Reply::new(200).header("content-type", "text/html").body("<html>welcome</html>"),
        || Reply::new(200).header("content-type", "application/json").body("{}"),
    ];
    for answer in answers {
        let fake = Fake::start(move |r, _| r.path.contains("/referrers/").then(answer)).await;
        let list = index(vec![listed("a/one")]);
        fake.content().manifests.insert(fallback(), (media::OCI_INDEX.to_owned(), list));
        let name = reference(fake.address, "x");
        let found = builder().build().referrers(&name, &subject().digest, None).await.unwrap();
        assert_eq!(found, [listed("a/one")]);
    }
    // An empty list of the API is the answer; the tag is not asked.
    let fake = Fake::start(|r, _| {
        let reply = Reply::new(200).header("content-type", media::OCI_INDEX);
        r.path.contains("/referrers/").then(|| reply.body(index(Vec::new())))
    })
    .await;
    let name = reference(fake.address, "x");
    assert!(builder().build().referrers(&name, &subject().digest, None).await.unwrap().is_empty());
    assert_eq!(fake.log().len(), 1);
}

#[tokio::test]
async fn r092_a_list_without_end_is_cut_off() {
    let counter = Arc::new(AtomicUsize::new(0));
    let fake = Fake::start(move |r, _| {
        let n = counter.fetch_add(1, Ordering::SeqCst);
        let entries = (0..10).map(|i| listed(&format!("a/{n}/{i}"))).collect();
        let reply = Reply::new(200).header("content-type", media::OCI_INDEX);
        Some(reply.header("link", format!("<{}?page={n}>; rel=next", r.path)).body(index(entries)))
    })
    .await;
    let limits = Limits { referrers: 25, ..Limits::default() };
    let name = reference(fake.address, "x");
    let error = builder().limits(limits).build().referrers(&name, &subject().digest, None).await.unwrap_err();
    assert!(error.to_string().contains("more than 25 referrers"), "{error}");
    assert_eq!(fake.log().len(), 3);
}

fn tags(names: &[&str]) -> Reply {
    Reply::new(200).body(serde_json::json!({"name": "x", "tags": names}).to_string())
}

#[tokio::test]
async fn r093_tag_lists_in_all_shapes() {
    type Script = fn(&crate::common::fake::Request) -> Reply;
    let table: [(Script, &[&str]); 5] = [
        (|_| Reply::new(200).body(r#"{"name":"x","tags":null}"#), &[]),
        (|_| tags(&["b", "a", "b"]), &["a", "b"]),
        // Some list digests among the tags.
        (|_| tags(&["a", "sha256:1234", ""]), &["a"]),
        (
            |r| match r.queries("last").as_slice() {
                [] => tags(&["a", "b"]).header("link", r#"</v2/x/tags/list?last=b&n=2>; rel="next""#),
                _ => tags(&["c"]),
            },
            &["a", "b", "c"],
        ),
        (
            |r| match r.queries("last").as_slice() {
                [] => tags(&["a"]).header("link", "<?last=a>; rel=\"first next\", <?x=1>; rel=prev"),
                _ => tags(&["b"]),
            },
            &["a", "b"],
        ),
    ];
    for (script, want) in table {
        let fake = Fake::start(move |r, _| Some(script(r))).await;
        assert_eq!(builder().build().list_tags(&reference(fake.address, "x")).await.unwrap(), want);
    }
}

#[tokio::test]
async fn r093_a_part_of_the_tags_can_be_asked_for() {
    // One registry pages, one knows neither `n` nor `last`.
    for pages in [true, false] {
        let fake = Fake::start(move |r, _| {
            let all = ["a", "b", "c", "d", "e"];
            if !pages {
                return Some(tags(&all));
            }
            let last = r.queries("last").pop().unwrap_or_default();
            let n: usize = r.queries("n").pop().map_or(5, |n| n.parse().unwrap());
            assert!(n <= 1000, "some registries refuse more");
            let rest: Vec<&str> = all.into_iter().filter(|t| *t > last.as_str()).collect();
            let page = &rest[..n.min(rest.len())];
            let reply = tags(page);
            Some(match page.last() {
                Some(end) if rest.len() > n => {
                    reply.header("link", format!("<?n={n}&last={end}>; rel=\"next\""))
                }
                _ => reply,
            })
        })
        .await;
        let (client, name) = (builder().build(), reference(fake.address, "x"));
        assert_eq!(client.list_tags_after(&name, None, 2).await.unwrap(), ["a", "b"]);
        assert_eq!(client.list_tags_after(&name, Some("b"), 2).await.unwrap(), ["c", "d"]);
        assert_eq!(client.list_tags_after(&name, Some("d"), 2).await.unwrap(), ["e"]);
        assert_eq!(client.list_tags_after(&name, None, 5000).await.unwrap().len(), 5);
    }
}

#[tokio::test]
async fn r093_a_full_page_without_a_link_is_not_taken_for_the_end() {
    // Pages without links; all at once, as many as were asked for by chance; the same page for ever.
    for (kind, want, requests) in [("pages", 2500, 3), ("all", 1000, 2), ("same", 1000, 2)] {
        let all = all_of(2500);
        let fake = Fake::start(move |r, _| {
            let last = r.queries("last").pop().filter(|_| kind == "pages").unwrap_or_default();
            let rest = all.iter().filter(|t| **t > last).take(1000).map(String::as_str);
            Some(tags(&rest.collect::<Vec<_>>()))
        })
        .await;
        let name = reference(fake.address, "x");
        let found = builder().build().list_tags_after(&name, None, 5000).await.unwrap();
        assert_eq!(found, all_of(want), "{kind}");
        assert_eq!(fake.log().len(), requests, "{kind}");
        assert!(fake.log().iter().all(|r| r.queries("n") == ["1000"]));
    }
    // Who wants no more is not told of more.
    let fake = Fake::start(|_, _| Some(tags(&["a", "b"]))).await;
    let name = reference(fake.address, "x");
    assert_eq!(builder().build().list_tags_after(&name, None, 2).await.unwrap(), ["a", "b"]);
    assert_eq!(fake.log().len(), 1);
}

fn all_of(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("t{n:04}")).collect()
}

#[tokio::test]
async fn r094_pages_stay_at_home_and_end() {
    let evil = Fake::start(|_, _| None).await;
    let there = evil.address;
    let fake = Fake::start(move |_, _| {
        Some(tags(&["a"]).header("link", format!("<http://{there}/v2/x/tags/list>; rel=next")))
    })
    .await;
    let error = builder().build().list_tags(&reference(fake.address, "x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(evil.log().is_empty());
    // A page that leads to itself has nothing new the second time.
    let fake = Fake::start(|r, _| Some(tags(&["a"]).header("link", format!("<{}>; rel=next", r.path)))).await;
    let error = builder().build().list_tags(&reference(fake.address, "x")).await.unwrap_err();
    assert!(error.to_string().contains("nothing new"), "{error}");
    assert_eq!(fake.log().len(), 2);
    // A list that goes on for ever ends at the limit.
    let counter = Arc::new(AtomicUsize::new(0));
    let fake = Fake::start(move |r, _| {
        let n = counter.fetch_add(1, Ordering::SeqCst).to_string();
        Some(tags(&[&n]).header("link", format!("<{}?last={n}>; rel=next", r.path)))
    })
    .await;
    let limits = Limits { pages: 20, ..Limits::default() };
    let client = builder().limits(limits).build();
    let error = client.list_tags(&reference(fake.address, "x")).await.unwrap_err();
    assert!(error.to_string().contains("more than 20 pages"), "{error}");
    assert_eq!(fake.log().len(), 20);
}

#[tokio::test]
async fn r095_deletion() {
    for (status, want) in [(202, Some(true)), (200, Some(true)), (404, Some(false)), (405, None), (400, None)]
    {
        let fake = Fake::start(move |r, _| (r.method == "DELETE").then(|| Reply::new(status))).await;
        let result = builder().build().delete_manifest(&by_digest(fake.address, b"x")).await;
        assert_eq!(result.as_ref().ok().copied(), want, "{status}");
        assert_eq!(fake.requests("DELETE", "").len(), 1);
    }
    // Some registries give the right to delete only with all rights: what the challenge asks for is asked.
    let fake = Fake::start(|r, _| {
        let host = r.header("host").unwrap();
        if r.path == "/token" {
            return Some(Reply::new(200).body(r#"{"token":"t"}"#));
        }
        if r.header("authorization").is_none() {
            let challenge = format!(r#"Bearer realm="http://{host}/token",scope="repository:x:*""#);
            return Some(Reply::new(401).header("www-authenticate", challenge));
        }
        (r.method == "DELETE").then(|| Reply::new(202))
    })
    .await;
    assert!(builder().build().delete_manifest(&by_digest(fake.address, b"x")).await.unwrap());
    assert_eq!(fake.requests("GET", "/token")[0].queries("scope"), ["repository:x:*,delete,pull,push"]);
}
