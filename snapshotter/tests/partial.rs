//! Large blobs that were not finished are gone on with.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use cooper_oci::Digest;
use cooper_snapshotter::{ObjectKind, PruneOptions, RESUMED_FROM_BYTES, Store};

const SIZE: u64 = RESUMED_FROM_BYTES;

fn content() -> (Vec<u8>, Digest) {
    let bytes: Vec<u8> = (0..SIZE).map(|n| ((n * n) >> 7).to_le_bytes()[0]).collect();
    let digest = Digest::sha256_of(&bytes);
    (bytes, digest)
}

/// The files that wait to be gone on with.
fn partials(store: &Path) -> Vec<PathBuf> {
    fs::read_dir(store.join("partial")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_an_earlier_writer_left_is_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, digest) = content();
    for end in [1000, 10_000_000] {
        let store = Store::open(dir.path()).unwrap();
        let mut writer = store.resumed_blob_writer(&digest, SIZE).unwrap();
        let at = usize::try_from(writer.written()).unwrap();
        writer.write_all(&bytes[at..end]).unwrap();
        assert_eq!(store.has_blob(&digest).unwrap(), None);
    }
    let store = Store::open(dir.path()).unwrap();
    let mut writer = store.resumed_blob_writer(&digest, SIZE).unwrap();
    assert_eq!(writer.written(), 10_000_000);
    writer.write_all(&bytes[10_000_000..]).unwrap();
    assert_eq!(writer.commit().unwrap(), digest);
    let mut back = Vec::new();
    store.open_blob(&digest).unwrap().read_to_end(&mut back).unwrap();
    assert!(back == bytes);
    assert!(partials(dir.path()).is_empty());
}

#[test]
fn what_cannot_be_the_beginning_of_the_blob_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, digest) = content();
    let store = Store::open(dir.path()).unwrap();
    store.resumed_blob_writer(&digest, SIZE).unwrap().write_all(&bytes).unwrap();
    let [file] = &partials(dir.path())[..] else { panic!() };
    // Whole and right: nothing need be written.
    assert_eq!(store.resumed_blob_writer(&digest, SIZE).unwrap().written(), SIZE);
    let mut longer = bytes.clone();
    longer.push(0);
    let mut wrong = bytes.clone();
    wrong[77] ^= 1;
    for bad in [longer, wrong] {
        fs::write(file, bad).unwrap();
        assert_eq!(store.resumed_blob_writer(&digest, SIZE).unwrap().written(), 0);
    }
    // Wrong and too short to tell: the digest tells at the end.
    fs::write(file, vec![0; 1000]).unwrap();
    let mut writer = store.resumed_blob_writer(&digest, SIZE).unwrap();
    writer.write_all(&bytes[1000..]).unwrap();
    assert_ne!(writer.digest(), digest);
    writer.restart().unwrap();
    writer.write_all(&bytes).unwrap();
    assert_eq!(writer.commit().unwrap(), digest);
}

#[test]
fn two_writers_do_not_meet_and_pruning_takes_only_what_nobody_writes() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, digest) = content();
    let (one, two) = (Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap());
    let mut first = one.resumed_blob_writer(&digest, SIZE).unwrap();
    first.write_all(&bytes[..1000]).unwrap();
    let mut second = two.resumed_blob_writer(&digest, SIZE).unwrap();
    assert_eq!(second.written(), 0);
    second.write_all(&bytes).unwrap();
    let pruned = |store: &Store| {
        let removed = store.prune(&PruneOptions::default()).unwrap().removed;
        removed.iter().filter(|object| object.kind == ObjectKind::Partial).count()
    };
    assert_eq!(pruned(&two), 0);
    assert_eq!(second.commit().unwrap(), digest);
    first.write_all(&bytes[1000..2000]).unwrap();
    drop(first);
    assert_eq!((partials(dir.path()).len(), pruned(&two)), (1, 1));
    assert!(partials(dir.path()).is_empty());
    assert!(two.has_blob(&digest).unwrap().is_some());
}
