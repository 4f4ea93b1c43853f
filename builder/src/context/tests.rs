//! What an index lets us skip, and what it must not hide.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use cooper_frontend::dockerignore::Matcher;
use cooper_frontend::graph::{CopyOp, StepId};
use cooper_sys::fs::{Stat, open_dir, stat_at, utimens_at};

use super::{Context, StatIndex};
use crate::copy::{CopyError, CopyOptions, copy, digest, named_inputs, select_path};

const OLD: (i64, u32) = (1_000_000_000, 5);

fn stat(dir: &Path, name: &str) -> Stat {
    stat_at(open_dir(dir).unwrap(), name).unwrap()
}

/// A stat of a file that nobody touched for long.
fn old_stat(inode: u64) -> Stat {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), "x").unwrap();
    Stat { ino: inode, mtime: OLD, ctime: OLD, ..stat(dir.path(), "f") }
}

#[test]
fn a_saved_index_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let mut index = StatIndex::default();
    for inode in 0..100 {
        index.insert(&old_stat(inode), [u8::try_from(inode).unwrap(); 32]);
    }
    index.save(&path).unwrap();
    let mut read = StatIndex::load(&path);
    assert_eq!(read.len(), 100);
    for inode in 0..100 {
        assert_eq!(read.get(&old_stat(inode)), index.get(&old_stat(inode)));
    }
}

#[test]
fn what_does_not_fit_in_memory_is_known_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let stat = old_stat(0);
    let of = |ino, size| Stat { ino, size, ..stat };
    let mut index = StatIndex::load(&path);
    for ino in 0..500 {
        index.insert(&of(ino * 7 % 500, 1), [1; 32]);
    }
    for ino in (0..500).step_by(3) {
        index.insert(&of(ino, 2), [2; 32]);
    }
    let known = |index: &mut StatIndex| {
        for ino in 0..500 {
            let new = ino % 3 == 0;
            assert_eq!(index.get(&of(ino, 1)), (!new).then_some([1; 32]), "{ino}");
            assert_eq!(index.get(&of(ino, 2)), new.then_some([2; 32]), "{ino}");
            assert_eq!((index.is_current(&of(ino, 1)), index.is_current(&of(ino, 2))), (!new, new), "{ino}");
        }
    };
    known(&mut index);
    index.save(&path).unwrap();
    let mut read = StatIndex::load(&path);
    assert_eq!(read.len(), 500);
    known(&mut read);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn any_changed_attribute_forgets_the_content() {
    let mut index = StatIndex::default();
    let stat = old_stat(7);
    index.insert(&stat, [1; 32]);
    for changed in [
        Stat { size: 9, ..stat },
        Stat { mtime: (OLD.0, 6), ..stat },
        Stat { ctime: (OLD.0 + 1, 5), ..stat },
        Stat { mode: 0o600, ..stat },
        Stat { ino: 8, ..stat },
        Stat { dev: stat.dev + 1, ..stat },
    ] {
        assert_eq!(index.get(&changed), None);
    }
    assert_eq!(index.get(&stat), Some([1; 32]));
}

#[test]
fn a_damaged_index_knows_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    assert!(StatIndex::load(&path).is_empty());
    let mut index = StatIndex::default();
    index.insert(&old_stat(7), [1; 32]);
    index.save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(StatIndex::load(&path).get(&old_stat(7)), None, "byte {at}");
        fs::write(&path, &whole[..at]).unwrap();
        assert!(StatIndex::load(&path).is_empty(), "cut at {at}");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(StatIndex::load(&path).get(&old_stat(7)), Some([1; 32]));
}

#[test]
fn a_damaged_block_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let mut index = StatIndex::default();
    let stat = old_stat(0);
    let of = |ino| Stat { ino, ..stat };
    for ino in 0..1000 {
        index.insert(&of(ino * 3), [5; 32]);
    }
    index.save(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096 * 3 + 50] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut index = StatIndex::load(&path);
    let known: Vec<u64> = (0..3000).filter(|ino| index.get(&of(*ino)).is_some()).collect();
    assert_eq!(known.len(), 1000 - 48);
    assert!(known.iter().all(|ino| ino % 3 == 0));
    // The next save writes what is left, and what was learned anew.
    index.insert(&of(3 * 150), [6; 32]);
    index.save(&path).unwrap();
    let mut index = StatIndex::load(&path);
    assert_eq!(index.len(), 1000 - 48 + 1);
    assert_eq!(index.get(&of(3 * 150)), Some([6; 32]));
    assert_eq!(index.get(&of(3 * 999)), Some([5; 32]));
}

#[test]
fn a_file_changed_just_now_is_not_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    fs::write(dir.path().join("f"), "x").unwrap();
    let mut index = StatIndex::default();
    let fresh = stat(dir.path(), "f");
    index.insert(&fresh, [1; 32]);
    assert_eq!(index.get(&fresh), Some([1; 32]));
    index.insert(&old_stat(3), [2; 32]);
    index.save(&path).unwrap();
    assert_eq!(StatIndex::load(&path).len(), 1);
}

#[test]
fn entries_that_nobody_asks_for_are_dropped_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let mut index = StatIndex::default();
    index.insert(&old_stat(1), [1; 32]);
    index.insert(&old_stat(2), [2; 32]);
    index.save(&path).unwrap();
    for round in 0..20 {
        let mut index = StatIndex::load(&path);
        assert!(index.get(&old_stat(1)).is_some(), "round {round}");
        index.insert(&old_stat(100 + round), [3; 32]);
        index.save(&path).unwrap();
    }
    let mut index = StatIndex::load(&path);
    assert!(index.get(&old_stat(1)).is_some());
    assert!(index.get(&old_stat(2)).is_none());
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    fs::write(&file, "x").unwrap();
    let handle = open_dir(dir.path()).unwrap();
    utimens_at(&handle, "f", OLD).unwrap();
    // The index claims another content: if it is believed, the file was not read.
    let mut index = StatIndex::default();
    index.insert(&stat(dir.path(), "f"), [9; 32]);
    let context = Context::open(dir.path(), None, Some(index)).unwrap();
    let inputs = |context: &Context| {
        let all = select_path(&context.tree().unwrap(), "/", false).unwrap();
        named_inputs(&all).unwrap()[1].1.clone()
    };
    assert_eq!(inputs(&context), "0644 090909090909");
    fs::write(&file, "yy").unwrap();
    assert_ne!(inputs(&context), "0644 090909090909");
}

#[test]
fn a_file_changed_after_it_was_hashed_is_not_copied() {
    use std::os::fd::AsFd as _;
    let dir = tempfile::tempdir().unwrap();
    let image = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), "x").unwrap();
    let context = Context::open(dir.path(), None, None).unwrap();
    let all = select_path(&context.tree().unwrap(), "/", false).unwrap();
    digest(&all).unwrap();
    fs::write(dir.path().join("f"), "yy").unwrap();
    let image = open_dir(image.path()).unwrap();
    let op = CopyOp {
        base: StepId::new(0),
        link: false,
        sources: Vec::new(),
        dest: "/".into(),
        chown: None,
        chmod: None,
        parents: false,
        excludes: Vec::new(),
        add: false,
    };
    let result = copy(&all, image.as_fd(), &op, &CopyOptions::default());
    assert!(matches!(result, Err(CopyError::Changed { .. })));
}

#[test]
fn the_ignore_file_hides_and_links_stay_inside() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("ctx")).unwrap();
    fs::write(dir.path().join("outside"), "o").unwrap();
    fs::write(dir.path().join("ctx/secret"), "s").unwrap();
    std::os::unix::fs::symlink("../outside", dir.path().join("ctx/out")).unwrap();
    let ignore = Matcher::from_file(b"secret\n").unwrap();
    let context = Context::open(&dir.path().join("ctx"), Some(ignore), None).unwrap();
    let tree = context.tree().unwrap();
    for name in ["secret", "out", "../outside"] {
        assert!(matches!(select_path(&tree, name, false), Err(CopyError::NotFound { .. })), "{name}");
    }
}

#[test]
fn several_threads_share_an_index() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..200 {
        fs::write(dir.path().join(number.to_string()), number.to_string()).unwrap();
    }
    let context = Context::open(dir.path(), None, None).unwrap();
    let done = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let all = select_path(&context.tree().unwrap(), "/", false).unwrap();
                digest(&all).unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(done.into_inner(), 4);
}
