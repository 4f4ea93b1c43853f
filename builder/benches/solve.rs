//! What the solver costs a step, without any command: a stage of 50 WORKDIRs on `scratch`, each a layer of its own; all
//! made anew, and all cached. Divide by 50.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use cooper_builder::event::EventSender;
use cooper_builder::request::{BuildRequest, DockerfileSource};
use cooper_builder::{CancelToken, Session, SessionOptions};
use cooper_frontend::graph::NoCache;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const STEPS: u64 = 50;

fn request(no_cache: NoCache) -> BuildRequest {
    let mut text = "FROM scratch\n".to_owned();
    for step in 0..STEPS {
        writeln!(text, "WORKDIR /d{step}").unwrap();
    }
    BuildRequest {
        dockerfile: Some(DockerfileSource::Text(text.into_bytes())),
        tags: vec!["bench:1".into()],
        no_cache,
        ..BuildRequest::default()
    }
}

fn solve(criterion: &mut Criterion) {
    let place = tempfile::tempdir().unwrap();
    let options = SessionOptions { root: Some(place.path().join("store")), ..SessionOptions::default() };
    let session = Session::open(&options).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let build = |no_cache: NoCache| {
        let (events, _listener) = EventSender::channel();
        runtime.block_on(session.build(request(no_cache), events, CancelToken::default())).unwrap()
    };
    let mut group = criterion.benchmark_group("solve");
    group.sample_size(10).throughput(Throughput::Elements(STEPS));
    group.bench_function("50 steps anew", |bencher| bencher.iter(|| build(NoCache::Always)));
    build(NoCache::Never);
    group.bench_function("50 steps cached", |bencher| bencher.iter(|| build(NoCache::Never)));
    group.finish();
}

criterion_group!(benches, solve);
criterion_main!(benches);
