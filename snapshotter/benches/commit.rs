//! Making a layer of what a step wrote: the walk, the tar stream, the manifest. Needs root for overlay mounts.

use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cooper_snapshotter::{Active, Chain, Store};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const DIRS: usize = 40;
const FILES: usize = 50;
const BYTES: usize = 6_000;

fn fill(active: &Active, round: u64) -> std::io::Result<()> {
    let root = PathBuf::from(format!("/proc/self/fd/{}", active.root().as_raw_fd()));
    let mut data = vec![b'x'; BYTES];
    data[..8].copy_from_slice(&round.to_le_bytes());
    for dir in 0..DIRS {
        let dir = root.join(format!("d{dir}"));
        std::fs::create_dir(&dir)?;
        for file in 0..FILES {
            std::fs::write(dir.join(format!("f{file}")), &data)?;
        }
    }
    Ok(())
}

fn commit(c: &mut Criterion) {
    let Ok(dir) = tempfile::tempdir() else { return };
    let Ok(store) = Store::open(&dir.path().join("store")) else { return };
    if !store.uses_overlay() {
        let _ = writeln!(std::io::stderr(), "skipped: no overlay mounts here");
        return;
    }
    let mut group = c.benchmark_group("commit");
    group.throughput(Throughput::Bytes((DIRS * FILES * BYTES) as u64));
    group.sample_size(10);
    let mut round = 0;
    group.bench_function("2000 files of 6000 bytes", |b| {
        b.iter_custom(|times| {
            let mut total = Duration::ZERO;
            for _ in 0..times {
                round += 1;
                let Ok(active) = store.prepare(&Chain::default(), &[]) else { return total };
                assert!(fill(&active, round).is_ok());
                let start = Instant::now();
                assert!(store.commit(active).is_ok());
                total += start.elapsed();
            }
            total
        });
    });
    group.finish();
}

criterion_group!(benches, commit);
criterion_main!(benches);
