//! Matching the paths of a context against an ignore file: how `cargo bench -p cooper-frontend` answers what a pattern
//! costs for each file.

use std::fmt::Write as _;
use std::hint::black_box;

use cooper_frontend::dockerignore::{Matcher, ParentInfo};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const DIRS: usize = 400;
const FILES: usize = 50;

fn ignore_file(patterns: usize) -> String {
    let mut text = String::from(".git\n**/node_modules\n**/*.log\n!keep/*.log\n/target\n");
    for n in 5..patterns {
        let _ = writeln!(text, "generated-{n}/**/*.o");
    }
    text
}

fn matching(c: &mut Criterion) {
    let mut group = c.benchmark_group("dockerignore");
    group.throughput(Throughput::Elements((DIRS * FILES) as u64));
    let paths: Vec<(String, Vec<String>)> = (0..DIRS)
        .map(|dir| {
            let dir = format!("src/d{}/e{}", dir / 20, dir % 20);
            let files = (0..FILES).map(|file| format!("{dir}/f{file}.dat")).collect();
            (dir, files)
        })
        .collect();
    for patterns in [5, 100] {
        let text = ignore_file(patterns);
        let Ok(matcher) = Matcher::from_file(text.as_bytes()) else { continue };
        group.bench_function(format!("20000 files, {patterns} patterns"), |b| {
            b.iter(|| {
                let mut hits = 0;
                for (dir, files) in &paths {
                    let (_, info) = matcher.enter(dir.as_bytes(), &ParentInfo::default());
                    hits += files.iter().filter(|file| matcher.matches(file.as_bytes(), &info)).count();
                }
                black_box(hits)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, matching);
criterion_main!(benches);
