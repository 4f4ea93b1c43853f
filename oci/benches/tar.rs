//! The tar stream of a layer and its SHA-256, which no other thread can share: the floor under every new layer.

use std::hint::black_box;
use std::io::Write as _;

use cooper_oci::HashingWriter;
use cooper_oci::tar::{Entry, Writer};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn stream(c: &mut Criterion) {
    let mut group = c.benchmark_group("tar and SHA-256");
    for (count, size) in [(20_000_usize, 6_000_usize), (120, 1_000_000)] {
        let data = vec![b'x'; size];
        group.throughput(Throughput::Bytes((count * size) as u64));
        group.sample_size(10);
        group.bench_function(format!("{count} files of {size} bytes"), |b| {
            b.iter(|| {
                let mut tar = Writer::new(HashingWriter::new(std::io::sink()));
                for n in 0..count {
                    let path = format!("app/src/d{}/f{n}.dat", n / 50).into_bytes();
                    let entry = Entry { path, mode: 0o644, size: size as u64, ..Entry::default() };
                    let written = tar.append(&entry).and_then(|()| tar.write_all(&data));
                    assert!(written.is_ok());
                }
                black_box(tar.finish().map(|hashing| hashing.finish().1).ok())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, stream);
criterion_main!(benches);
