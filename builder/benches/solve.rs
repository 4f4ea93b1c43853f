//! What the solver costs a step, without any command: a stage of 50 WORKDIRs on `scratch`, each a layer of its own; all
//! made anew, and all cached. Divide by 50.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use cooper_builder::event::EventSender;
use cooper_builder::request::{BuildRequest, DockerfileSource};
use cooper_builder::{CancelToken, Session, SessionOptions};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const STEPS: u64 = 50;

/// A build whose steps are those of no other round.
fn request(round: u64) -> BuildRequest {
    let mut text = "FROM scratch\n".to_owned();
    for step in 0..STEPS {
        writeln!(text, "WORKDIR /{round}/{step}").unwrap();
    }
    BuildRequest {
        dockerfile: Some(DockerfileSource::Text(text.into_bytes())),
        tags: vec!["bench:1".into()],
        ..BuildRequest::default()
    }
}

fn solve(criterion: &mut Criterion) {
    let place = tempfile::tempdir().unwrap();
    let options = SessionOptions { root: Some(place.path().join("store")), ..SessionOptions::default() };
    let session = Session::open(&options).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let build = |round: u64| {
        let (events, _listener) = EventSender::channel();
        runtime.block_on(session.build(request(round), events, CancelToken::default())).unwrap()
    };
    let mut group = criterion.benchmark_group("solve");
    group.sample_size(10).throughput(Throughput::Elements(STEPS));
    let mut round = 0;
    let mut anew = || {
        round += 1;
        build(round)
    };
    group.bench_function("50 steps anew", |bencher| bencher.iter(&mut anew));
    build(0);
    group.bench_function("50 steps cached", |bencher| bencher.iter(|| build(0)));
    group.finish();
}

criterion_group!(benches, solve);
criterion_main!(benches);
