//! Reading, checking and planning the Dockerfiles of the corpus: what is spent before the first step is looked up.

use std::hint::black_box;
use std::path::Path;

use cooper_frontend::ast::Dockerfile;
use cooper_frontend::graph::{ImageRequest, ImageResolver, PlanOptions, ResolveError, ResolvedImage};
use cooper_frontend::lint::{Filter, lint};
use cooper_frontend::parser::parse;
use cooper_frontend::plan;
use cooper_oci::config::ImageConfig;
use cooper_oci::{Digest, Platform};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Every image exists, and is empty.
struct Empty(Digest);

impl ImageResolver for Empty {
    fn resolve(&self, requests: &[ImageRequest]) -> Vec<Result<ResolvedImage, ResolveError>> {
        let image = |platform: &Platform| ResolvedImage {
            manifest: self.0.clone(),
            config: ImageConfig {
                architecture: platform.architecture.clone(),
                os: platform.os.clone(),
                ..ImageConfig::default()
            },
        };
        requests.iter().map(|request| Ok(image(&request.platform))).collect()
    }
}

/// The files below the directory that can be read as Dockerfiles.
fn read(directory: &Path, into: &mut Vec<(Vec<u8>, Dockerfile)>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            read(&path, into);
        } else if let Ok(text) = std::fs::read(&path)
            && let Ok(file) = parse(&text)
        {
            into.push((text, file));
        }
    }
}

fn frontend(c: &mut Criterion) {
    let mut files = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/corpus"), &mut files);
    assert!(!files.is_empty());
    let resolver = Empty(Digest::sha256_of(b"empty"));
    let platform = Some(Platform::host());
    let options =
        PlanOptions { platform: platform.clone(), build_platform: platform, ..PlanOptions::default() };
    let mut group = c.benchmark_group(format!("{} Dockerfiles", files.len()));
    group.sample_size(20);
    group.throughput(Throughput::Bytes(files.iter().map(|(text, _)| text.len() as u64).sum()));
    group.bench_function("parse", |b| {
        b.iter(|| files.iter().filter(|(text, _)| black_box(parse(text)).is_ok()).count());
    });
    group.bench_function("check", |b| {
        let filter = Filter::default();
        b.iter(|| {
            files.iter().map(|(_, file)| black_box(lint(file, &filter, &|_| true)).len()).sum::<usize>()
        });
    });
    group.bench_function("plan", |b| {
        b.iter(|| {
            files.iter().filter(|(_, file)| black_box(plan(file, &options, &resolver)).is_ok()).count()
        });
    });
    group.finish();
}

criterion_group!(benches, frontend);
criterion_main!(benches);
