//! What an unchanged context costs: one stat a file and a look into the index; and what a new one does: every byte.

use std::hint::black_box;
use std::path::Path;

use cooper_builder::context::{Context, StatIndex};
use cooper_builder::copy::{digest, select_path};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const DIRS: usize = 200;
const FILES: usize = 50;

fn make(dir: &Path) -> std::io::Result<()> {
    for at in 0..DIRS {
        let dir = dir.join(format!("d{}/e{}", at / 20, at % 20));
        std::fs::create_dir_all(&dir)?;
        for file in 0..FILES {
            std::fs::write(dir.join(format!("f{file}")), [b'x'; 6_000])?;
        }
    }
    Ok(())
}

fn scan(context: &Context) -> Option<[u8; 32]> {
    let tree = context.tree().ok()?;
    digest(&select_path(&tree, "/", false).ok()?).ok()
}

fn scans(c: &mut Criterion) {
    let Ok(dir) = tempfile::tempdir() else { return };
    let (files, index) = (dir.path().join("files"), dir.path().join("index"));
    assert!(make(&files).is_ok());
    let mut group = c.benchmark_group("context of 10000 files");
    group.throughput(Throughput::Elements((DIRS * FILES) as u64));
    group.sample_size(10);
    group.bench_function("new", |b| {
        b.iter(|| black_box(Context::open(&files, None, None).ok().and_then(|context| scan(&context))));
    });
    // What was changed within two seconds would not be written down.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let learned = Context::open(&files, None, None).ok().and_then(|context| {
        scan(&context)?;
        context.save_index(&index).ok()
    });
    assert!(learned.is_some());
    group.bench_function("unchanged", |b| {
        b.iter(|| {
            let context = Context::open(&files, None, Some(StatIndex::load(&index)));
            black_box(context.ok().and_then(|context| scan(&context)))
        });
    });
    group.finish();
}

criterion_group!(benches, scans);
criterion_main!(benches);
