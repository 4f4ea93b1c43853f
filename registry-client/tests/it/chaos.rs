//! Whole images through a proxy that breaks more than one request in ten.
//!
//! The small run is part of every test run: some tens of MB to Debian's docker-registry and back. The full one
//! (issue 5: 100 of 100 transfers of a multi-GB image, a push and a pull each round) is the same with other numbers:
//!
//! ```text
//! COOPER_CHAOS=full cargo test --release -p cooper-registry-client --test it -- images_get_through --nocapture
//! COOPER_CHAOS=full COOPER_CHAOS_ROUNDS=3 ...    # fewer rounds
//! COOPER_CHAOS=full COOPER_CHAOS_FIRST=3 ...     # others: what is broken depends on their number
//! ```
//!
//! The issue names the faults; how often they come is our choice. docker-registry (distribution 2.8) forgets an upload
//! that broke in the middle of a request, so that 7.5 % of broken bodies cost about 40 ‰ whatever a client does (smaller
//! requests would cost more: each can break, and takes with it what came before). Tests print this share (`broken off`)
//! beside the whole.
//!
//! 26 November 2026, 2 cores under loads of 2 to 13, 50 rounds of 2.5 GiB in one run: 100 of 100 transfers with 1,106
//! requests broken; pushes sent 49 ‰ again (39 ‰ broken off; the worst round 141 ‰, 61 ‰ broken off), pulls 1 ‰ (at
//! most 6 ‰). Several times the machine was stopped for 45 s; uploads then ended by the kernel's limit of 30 s, which the
//! client no longer sets. In the 44 rounds that this hardly touched the two shares were 7 ‰ apart, and 5 ‰ when rounds 31
//! to 33 were run once more without that limit (63 ‰, 58 ‰ broken off; with it 88 ‰, 52 ‰).

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cooper_oci::{Descriptor, Hasher, Manifest, Reference, media};
use cooper_registry_client::{BlobSink, Client, Limits, PushOptions, ReadSource, TokioSleeper};

use crate::common::chaos::{Chaos, Life, Rates, mix};
use crate::common::debian::start;
use crate::common::fake::Fake;
use crate::common::{NoSleep, reference};

/// Of a thousand requests, 75 break in the middle of their body or answer.
const RATES: Rates = Rates { resets: 50, truncations: 20, errors: 30, too_many: 10, stalls: 5 };

struct Plan {
    first: u64,
    rounds: u64,
    layers: u64,
    layer_bytes: u64,
    life: Life,
    full: bool,
}

fn plan() -> Plan {
    if std::env::var("COOPER_CHAOS").is_ok_and(|v| v == "full") {
        let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
        let rounds = number("COOPER_CHAOS_ROUNDS").unwrap_or(50);
        let first = number("COOPER_CHAOS_FIRST").unwrap_or(0);
        let life = Life::Time(Duration::from_secs(30));
        return Plan { first, rounds, layers: 40, layer_bytes: 64 << 20, life, full: true };
    }
    small()
}

fn small() -> Plan {
    Plan { first: 0, rounds: 1, layers: 40, layer_bytes: 1 << 20, life: Life::Uses(50), full: false }
}

/// The bytes of a layer from an offset on: made, not kept.
struct Made {
    seed: u64,
    at: u64,
    end: u64,
}

/// So many bytes are alike but for a counter.
const BLOCK: u64 = 4096;

impl Read for Made {
    #[expect(clippy::cast_possible_truncation, reason = "both are smaller than 256")]
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let mut rest = &mut buffer[..most];
        while !rest.is_empty() {
            let word = mix(self.seed ^ (self.at / BLOCK)).to_le_bytes();
            let left = usize::try_from(BLOCK - self.at % BLOCK).unwrap();
            let (block, behind) = rest.split_at_mut(left.min(rest.len()));
            for byte in block {
                *byte = word[(self.at % 8) as usize] ^ (self.at / 8 % 256) as u8;
                self.at += 1;
            }
            rest = behind;
        }
        Ok(most)
    }
}

fn layer(seed: u64, bytes: u64) -> Descriptor {
    let (mut reader, mut hasher) = (Made { seed, at: 0, end: bytes }, Hasher::default());
    std::io::copy(&mut reader, &mut hasher).unwrap();
    Descriptor::new(media::OCI_LAYER_TAR, hasher.finish(), bytes)
}

/// Takes a blob and keeps nothing; the pull checks it.
struct Nowhere;

impl BlobSink for Nowhere {
    async fn write(&mut self, _: bytes::Bytes) -> std::io::Result<()> {
        Ok(())
    }

    async fn restart(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn client(plan: &Plan, sent: &Arc<Mutex<HashMap<String, (u64, u64)>>>) -> Client {
    let patience = if plan.full { 30_000 } else { 3000 };
    let limits = Limits {
        idle_timeout: Duration::from_millis(patience),
        answer_timeout: Duration::from_millis(patience),
        commit_timeout: Duration::from_millis(patience * 4),
        slowest_bytes: 0,
        ..Limits::default()
    };
    let builder = Client::builder().limits(limits);
    let builder = if plan.full {
        builder.sleeper(Arc::new(TokioSleeper))
    } else {
        builder.sleeper(Arc::new(NoSleep::default()))
    };
    let sent = sent.clone();
    builder.build().with_observer(Arc::new(move |progress| {
        // What goes back was sent in vain.
        let mut map = sent.lock().unwrap();
        let (last, total) = map.entry(progress.digest.to_string()).or_default();
        *total +=
            if progress.done_bytes >= *last { progress.done_bytes - *last } else { progress.done_bytes };
        *last = progress.done_bytes;
    }))
}

/// Pushes an image, and gives its manifest.
async fn push(
    client: &Client,
    name: &Reference,
    layers: &[(u64, Descriptor)],
    options: &PushOptions,
) -> Vec<u8> {
    let pushes = layers.iter().map(|(seed, descriptor)| {
        let (seed, end) = (*seed, descriptor.size);
        let source = ReadSource(move |at| Ok(Made { seed, at, end }));
        async move { client.push_blob(name, descriptor, &source, options).await }
    });
    futures_util::future::try_join_all(pushes).await.unwrap();
    let config = Descriptor::of(media::OCI_EMPTY, b"{}");
    client.push_blob(name, &config, &bytes::Bytes::from_static(b"{}"), options).await.unwrap();
    let manifest = Manifest::new(config, layers.iter().map(|(_, d)| d.clone()).collect());
    let manifest = serde_json::to_vec(&manifest).unwrap();
    client.push_manifest(name, media::OCI_MANIFEST, manifest.clone()).await.unwrap();
    manifest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_get_through_and_little_is_sent_twice() {
    let Some(registry) = start(None) else { return };
    let plan = plan();
    let layers: Vec<_> = (0..plan.layers).map(|n| (n, layer(n, plan.layer_bytes))).collect();
    let whole = plan.layers * plan.layer_bytes;
    let (mut all_pushed, mut all_pulled, mut all_broken) = (0, 0, 0);
    let again = |bytes: u64, rounds: u64| bytes.saturating_sub(whole * rounds) * 1000 / (whole * rounds);
    for round in plan.first..plan.first + plan.rounds {
        let chaos = Chaos::before(&registry.host, 7 + round, RATES, plan.life);
        let name = reference(chaos.address, &format!("round{round}/app:1"));
        let sent = Arc::default();
        let client = client(&plan, &sent);
        let options = PushOptions::default();
        let manifest = push(&client, &name, &layers, &options).await;
        let pushed: u64 = sent.lock().unwrap().values().map(|(_, total): &(u64, u64)| *total).sum();

        let before = chaos.answered_bytes();
        assert_eq!(client.resolve(&name).await.unwrap().bytes, manifest);
        let pulls = layers.iter().map(|(_, descriptor)| {
            let (client, name) = (&client, &name);
            async move { client.pull_blob(name, descriptor, &mut Nowhere).await }
        });
        futures_util::future::try_join_all(pulls).await.unwrap();
        let pulled = chaos.answered_bytes() - before;
        assert!(pushed >= whole && pulled >= whole, "the registry had some of it");
        let broken = chaos.broken_bytes();
        (all_pushed, all_pulled, all_broken) =
            (all_pushed + pushed, all_pulled + pulled, all_broken + broken);
        let line = format!(
            "round {round}: {} requests broken; {} ‰ of {} MB sent again ({} ‰ broken off), {} ‰ fetched again\n",
            chaos.faults(),
            again(pushed, 1),
            whole >> 20,
            again(broken + whole, 1),
            again(pulled, 1)
        );
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        assert!(chaos.faults() > 5, "nothing was broken");
        // However slow the machine is: what goes wrong with a body costs that body once.
        let wrong = (chaos.faults() + chaos.refused()) as u64 * plan.layer_bytes;
        assert!(pushed <= whole + wrong && pulled <= whole + wrong, "{line}");
    }
    let (pushed, pulled) = (again(all_pushed, plan.rounds), again(all_pulled, plan.rounds));
    let broken = again(all_broken + whole * plan.rounds, plan.rounds);
    let line = format!("{pushed} ‰ sent again ({broken} ‰ broken off), {pulled} ‰ fetched again\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    if plan.full {
        // What breaks off in a few rounds is luck. Of small layers much is on its way when they break.
        let most = if plan.rounds >= 50 { 50 } else { 1000 };
        assert!(pushed <= most && pushed <= broken + 10 && pulled <= 50, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_keeps_broken_uploads_gets_no_byte_twice() {
    let plan = Plan { layers: 20, ..small() };
    let layers: Vec<_> = (0..plan.layers).map(|n| (n, layer(n, plan.layer_bytes))).collect();
    let options = PushOptions { chunk_bytes: Some(u64::MAX), ..PushOptions::default() };
    let fake = Fake::start(|_, _| None).await;
    let chaos = Chaos::before(&fake.address.to_string(), 7, RATES, plan.life);
    let name = reference(chaos.address, "kept/app:1");
    push(&client(&plan, &Arc::default()), &name, &layers, &options).await;
    let content = fake.content();
    assert!(layers.iter().all(|(_, layer)| content.blobs[layer.digest.as_str()].len() as u64 == layer.size));
    let (whole, received) = (plan.layers * plan.layer_bytes + 2, content.received);
    assert!(chaos.faults() > 5, "nothing was broken");
    assert_eq!(received, whole, "{} bytes came twice", received - whole);
}
