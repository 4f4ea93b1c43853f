//! A big blob over several connections: what servers make of it.

use std::time::Duration;

use cooper_oci::{Descriptor, media};
use cooper_registry_client::{Client, CopyOptions, Credential, Limits, Secret};

use crate::common::fake::{Content, Fake, Reply, Request, span, usual};
use crate::common::{builder, layer, noise, reference};

const RANGE: usize = 64 << 10;
const SIZE: usize = 1_000_000;

/// Four connections of 64 KiB each, for everything and at once.
fn limits() -> Limits {
    Limits {
        ranges: 4,
        range_bytes: RANGE as u64,
        ranged_from_bytes: 2 * RANGE as u64,
        fast_bytes_per_second: u64::MAX,
        ranged_after: Duration::ZERO,
        ..Limits::default()
    }
}

fn client() -> Client {
    builder().limits(limits()).build()
}

/// A registry with one blob, whose first answer brings a little and then waits until `requests` have come.
async fn holding(
    blob: &[u8],
    requests: usize,
    script: impl Fn(&Request, &mut Content) -> Option<Reply> + Send + Sync + 'static,
) -> Fake {
    let fake = Fake::start(move |r, c| match r.header("range") {
        None => Some(usual(c, r).hold(RANGE / 2, requests)),
        Some(_) => script(r, c),
    })
    .await;
    fake.content().add(blob);
    fake
}

/// What was asked for in ranges.
fn spans(fake: &Fake) -> Vec<(usize, usize)> {
    fake.log().iter().filter_map(|r| span(r.header("range")?, SIZE)).collect()
}

async fn pull(client: &Client, fake: &Fake, blob: &[u8]) {
    let got = client.pull_bytes(&reference(fake.address, "x:1"), &layer(blob)).await.unwrap();
    assert!(got == blob);
}

#[tokio::test]
async fn r045_a_big_blob_comes_over_several_connections() {
    let blob = noise(SIZE);
    let fake = holding(&blob, 4, |_, _| None).await;
    pull(&client(), &fake, &blob).await;
    let mut spans = spans(&fake);
    spans.sort_unstable();
    assert_eq!(spans[..3], [1, 2, 3].map(|n| (n * RANGE, (n + 1) * RANGE)));
    assert!(spans.windows(2).all(|two| two[0].1 <= two[1].0), "nothing is asked for twice: {spans:?}");
}

#[tokio::test]
async fn r045_ranges_do_not_run_ahead_nor_take_more_than_their_share() {
    // With further answers that come at once, or never.
    for (limits, answered, most) in [
        (limits(), true, 4),
        (limits(), false, 4),
        (Limits { transfers: 2, ..limits() }, false, 2),
        (Limits { ranges: 1, ..limits() }, true, 1),
        (Limits { ranged_from_bytes: 2_000_000, ..limits() }, true, 1),
        (Limits { fast_bytes_per_second: 0, ..limits() }, true, 1),
    ] {
        let blob = noise(SIZE);
        // The first answer never goes on, so that nothing else can be used.
        let fake = holding(&blob, usize::MAX, move |r, c| {
            Some(usual(c, r).hold(0, if answered { 0 } else { usize::MAX }))
        })
        .await;
        let (client, name) = (builder().limits(limits).build(), reference(fake.address, "x:1"));
        let descriptor = layer(&blob);
        let pull = tokio::spawn(async move { client.pull_bytes(&name, &descriptor).await });
        fake.until(most, |_| true).await;
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(fake.log().len(), most);
        pull.abort();
    }
}

#[tokio::test]
async fn r035_of_a_segment_that_broke_only_the_rest_is_asked_for() {
    let blob = noise(SIZE);
    let fake = holding(&blob, 5, |r, c| {
        let cut = r.header("range") == Some("bytes=131072-196607");
        cut.then(|| usual(c, r).cut(30_000))
    })
    .await;
    pull(&client(), &fake, &blob).await;
    assert_eq!(spans(&fake)[3], (131_072 + 30_000, 196_608));
}

#[tokio::test]
async fn r035_the_first_connection_may_break_too() {
    let blob = noise(SIZE);
    let fake = Fake::start(|r, c| match (r.header("range"), c.nth(r)) {
        (None, _) => Some(usual(c, r).hold(RANGE / 2, 4).cut(RANGE / 2)),
        // Nothing at all comes of the first try.
        (Some("bytes=32768-65535"), n) if n <= 5 => Some(usual(c, r).cut(0)),
        _ => None,
    })
    .await;
    fake.content().add(&blob);
    pull(&client(), &fake, &blob).await;
    assert_eq!(fake.log().iter().filter(|r| r.header("range").is_none()).count(), 1);
    let again = spans(&fake).iter().filter(|span| **span == (RANGE / 2, RANGE)).count();
    assert_eq!(again, 2);
    assert!(spans(&fake).iter().all(|(from, _)| *from >= RANGE / 2));
}

#[tokio::test]
async fn r035_r042_where_ranges_are_refused_one_connection_goes_on() {
    let blob = noise(SIZE);
    for kind in ["ignored", "wrong", "other size", "refused", "limited", "failing", "reset", "encoded"] {
        let fake = holding(&blob, 4, move |r, c| {
            let bytes = c.blobs.values().next()?.clone();
            Some(match kind {
                "ignored" => Reply::new(200).body(bytes),
                "wrong" => Reply::new(206)
                    .header("content-range", format!("bytes 7-{}/{SIZE}", RANGE + 6))
                    .body(&bytes[7..RANGE + 7]),
                "other size" => {
                    let (from, end) = span(r.header("range")?, SIZE)?;
                    Reply::new(206)
                        .header("content-range", format!("bytes {from}-{}/{}", end - 1, SIZE + 1))
                        .body(&bytes[from..end])
                }
                "refused" => Reply::new(416),
                "limited" => Reply::new(429).header("retry-after", "1"),
                "failing" => Reply::new(503),
                "reset" => usual(c, r).cut(0),
                _ => usual(c, r).header("content-encoding", "gzip"),
            })
        })
        .await;
        pull(&client(), &fake, &blob).await;
        assert_eq!(fake.log().len(), 4, "{kind}: each is tried once, and nothing is fetched again");
    }
}

#[tokio::test]
async fn r035_answers_may_be_shorter_than_asked() {
    let blob = noise(SIZE);
    let fake = holding(&blob, 8, |r, c| {
        let (from, end) = span(r.header("range")?, SIZE)?;
        let end = end.min(from + 20_000);
        let bytes = &c.blobs.values().next()?[from..end];
        Some(Reply::new(206).header("content-range", format!("bytes {from}-{}/{SIZE}", end - 1)).body(bytes))
    })
    .await;
    pull(&client(), &fake, &blob).await;
    assert!(spans(&fake).contains(&(RANGE + 20_000, 2 * RANGE)));
}

#[tokio::test]
async fn r036_each_range_is_redirected_without_the_credentials() {
    let blob = noise(SIZE);
    let store = holding(&blob, 5, |r, c| {
        // One signed link has expired when it is used.
        let expired = r.header("range") == Some("bytes=131072-196607") && r.queries("try") == ["1"];
        Some(if expired { Reply::new(403).body("expired") } else { usual(c, r) })
    })
    .await;
    let there = store.address;
    let fake = Fake::start(move |r, c| {
        if r.header("authorization").is_none() {
            return Some(Reply::new(401).header("www-authenticate", "Basic realm=x"));
        }
        let first = c.manifests.insert(r.header("range").unwrap_or_default().into(), Default::default());
        let n = if first.is_none() { 1 } else { 2 };
        let to = format!("http://{there}{}?try={n}", r.path);
        Some(Reply::new(307).header("location", to))
    })
    .await;
    let host = fake.address.to_string();
    let credential = Credential::Basic { username: "ann".into(), password: Secret::new("hunter2") };
    let client = builder().limits(limits()).credential(&host, credential).build();
    pull(&client, &fake, &blob).await;
    assert!(store.log().iter().all(|r| r.header("authorization").is_none()));
    let again = spans(&store).iter().filter(|span| span.0 == 131_072).count();
    assert_eq!(again, 2, "a new link is asked for");
}

#[tokio::test]
async fn r034_a_wrong_segment_is_found_and_all_comes_again_in_one_piece() {
    let blob = noise(SIZE);
    let fake = holding(&blob, 4, |r, c| {
        let (from, end) = span(r.header("range")?, SIZE)?;
        let mut bytes = c.blobs.values().next()?[from..end].to_vec();
        bytes[5] ^= 1;
        let range = format!("bytes {from}-{}/{SIZE}", end - 1);
        Some(Reply::new(206).header("content-range", range).body(bytes))
    })
    .await;
    pull(&client(), &fake, &blob).await;
    let log = fake.log();
    assert!(log.last().is_some_and(|r| r.header("range").is_none()));
}

#[tokio::test]
async fn r045_a_copy_reads_over_several_connections_and_sends_in_order() {
    let blob = noise(SIZE);
    let digest = layer(&blob).digest;
    let big = digest.to_string();
    let source = Fake::start(move |r, c| {
        // After its manifest, its config and this come three ranges.
        let first = r.is("GET", &big) && r.header("range").is_none();
        first.then(|| usual(c, r).hold(RANGE / 2, 6))
    })
    .await;
    let bytes = crate::common::manifest(&Descriptor::of(media::OCI_CONFIG, b"{}"), &layer(&blob));
    source.content().add(&blob);
    source.content().add(b"{}");
    source.content().manifests.insert("1".into(), crate::common::fake::manifest(&bytes));
    let target = Fake::start(|_, _| None).await;
    let (from, to) = (reference(source.address, "x:1"), reference(target.address, "y:1"));
    client().copy(&from, &to, &CopyOptions::default()).await.unwrap();
    assert!(target.content().blobs[digest.as_str()] == blob);
    let mut spans = spans(&source);
    spans.sort_unstable();
    assert!(spans.len() > 3 && spans.windows(2).all(|two| two[0].1 <= two[1].0), "{spans:?}");
    // Within one registry the places for transfers do not suffice for both.
    let one = builder().limits(Limits { transfers: 1, ..limits() }).build();
    let bytes = crate::common::manifest(&Descriptor::of(media::OCI_CONFIG, b"[]"), &layer(&blob[1..]));
    let single = Fake::start(|r, _| r.queries("mount").first().map(|_| Reply::new(404))).await;
    single.content().add(&blob[1..]);
    single.content().add(b"[]");
    single.content().manifests.insert("1".into(), crate::common::fake::manifest(&bytes));
    let (from, to) = (reference(single.address, "x:1"), reference(single.address, "y:2"));
    one.copy(&from, &to, &CopyOptions::default()).await.unwrap();
}
