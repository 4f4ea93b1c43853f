//! Applying a layer: 2000 files of 8 KiB from an uncompressed tar into a snapshot.
#![allow(clippy::unwrap_used)]

use std::io::Cursor;

use cooper_oci::Digest;
use cooper_oci::tar::{Entry, EntryKind, Writer};
use cooper_snapshotter::{Chain, Store};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const FILES: usize = 2000;
const FILE_BYTES: usize = 8192;

fn layer() -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    let member = |path: String, kind, size| Entry {
        path: path.into_bytes(),
        kind,
        mode: 0o755,
        size,
        ..Entry::default()
    };
    for n in 0..FILES {
        if n % 50 == 0 {
            tar.append(&member(format!("d{}", n / 50), EntryKind::Dir, 0)).unwrap();
        }
        let data: Vec<u8> = (0..FILE_BYTES).map(|at| ((at * n) >> 3).to_le_bytes()[0]).collect();
        let path = format!("d{}/f{n}", n / 50);
        tar.append_with(&member(path, EntryKind::File, FILE_BYTES as u64), &mut data.as_slice()).unwrap();
    }
    tar.finish().unwrap()
}

fn apply(criterion: &mut Criterion) {
    let place = tempfile::tempdir().unwrap();
    let bytes = layer();
    let chain = Chain::new(vec![Digest::sha256_of(&bytes)]);
    let mut count = 0;
    let mut group = criterion.benchmark_group("apply");
    group.sample_size(10).throughput(Throughput::Elements(FILES as u64));
    group.bench_function("2000 files", |bencher| {
        let fresh = || {
            count += 1;
            Store::open(&place.path().join(count.to_string())).unwrap()
        };
        let unpack = |store: Store| {
            store.ensure_unpacked(&chain, &|_| Ok(Box::new(Cursor::new(bytes.clone())))).unwrap();
            store
        };
        bencher.iter_batched(fresh, unpack, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, apply);
criterion_main!(benches);
