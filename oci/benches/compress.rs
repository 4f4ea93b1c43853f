//! Encoders and decoders of layers, on text-like data with noise in it.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::io::{Cursor, Write};

use cooper_oci::compress::{Compression, decoder, encoder, threaded_decoder};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const BYTES: usize = 16 << 20;

/// Two thirds words, one third noise.
fn sample() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut data = Vec::with_capacity(BYTES + 64);
    while data.len() < BYTES {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if (state >> 40).is_multiple_of(3) {
            data.extend_from_slice(&state.to_le_bytes());
        } else {
            let word = usize::try_from(state >> 60).unwrap();
            data.extend_from_slice(&b"the quick brown fox jumps over the lazy dog "[word..word + 12]);
        }
    }
    data.truncate(BYTES);
    data
}

fn compress(data: &[u8], compression: Compression, threads: usize) -> Vec<u8> {
    let mut encoder = encoder(Vec::new(), compression, None, threads).unwrap();
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn coders(criterion: &mut Criterion) {
    let data = sample();
    let mut group = criterion.benchmark_group("encode");
    group.sample_size(10).throughput(Throughput::Bytes(BYTES as u64));
    for compression in [Compression::Gzip, Compression::Zstd] {
        for threads in [1, 2] {
            group.bench_function(BenchmarkId::new(compression.as_str(), threads), |bencher| {
                bencher.iter(|| compress(black_box(&data), compression, threads));
            });
        }
    }
    group.finish();
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(10).throughput(Throughput::Bytes(BYTES as u64));
    for compression in [Compression::Gzip, Compression::Zstd] {
        let bytes = compress(&data, compression, 2);
        group.bench_function(compression.as_str(), |bencher| {
            bencher.iter(|| {
                let mut plain = decoder(black_box(bytes.as_slice()), compression).unwrap();
                std::io::copy(&mut plain, &mut std::io::sink()).unwrap()
            });
        });
        group.bench_function(format!("{compression}, in threads"), |bencher| {
            bencher.iter(|| {
                let mut plain = threaded_decoder(Cursor::new(bytes.clone()), compression, 2).unwrap();
                std::io::copy(&mut plain, &mut std::io::sink()).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, coders);
criterion_main!(benches);
