//! Files that become part of a layer from where they lie: as if they had been copied, or not at all.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use common::{at, skipped};
use cooper_snapshotter::{Active, Chain, Error, Mode, Open, Splice, Store, Take, TreeEntry, TreeKind};
use cooper_sys::fs::{self, OFlags};

const TIME: (i64, u32) = (1_000_000_000, 0);

/// One file `app/new`.
struct OneFile;

impl Splice for OneFile {
    fn at(&self) -> &[u8] {
        b"app"
    }

    fn entries(&self, take: &mut Take<'_>) -> Result<(), Error> {
        let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(&b"content"[..])) };
        let entry =
            TreeEntry { mode: 0o644, mtime: TIME, size: 7, ..TreeEntry::new("app/new", TreeKind::File) };
        take(entry, Some(&open as &Open<'_>))
    }
}

/// A store with a layer that has a directory `app`, and something on top of it.
fn begin(dir: &std::path::Path, mode: Mode) -> (Store, Chain, Active) {
    let store = Store::open_with(dir, mode).unwrap();
    let active = store.prepare(&Chain::default(), &[]).unwrap();
    std::fs::create_dir(at(active.root()).join("app")).unwrap();
    let base = Chain::new(vec![store.commit(active).unwrap().diff_id]);
    let active = store.prepare(&base, &[]).unwrap();
    (store, base, active)
}

#[test]
fn the_layer_is_that_of_a_copy() {
    if skipped() {
        return;
    }
    for mode in [Mode::Auto, Mode::Copy] {
        let dir = tempfile::tempdir().unwrap();
        let (store, base, active) = begin(dir.path(), mode);
        fs::utimens_at(active.root(), "app", TIME).unwrap();
        let mut tar = Vec::new();
        let mut announced = None;
        let announce = Box::new(|bytes| announced = Some(bytes));
        let streamed = store.stream(active, &OneFile, &mut tar, Some(announce)).unwrap();
        assert_eq!(announced, Some(tar.len() as u64));
        assert_eq!(streamed.diff_id, cooper_oci::Digest::sha256_of(&tar));
        assert!(!store.has_snapshot(&base.with(streamed.diff_id.clone())).unwrap());
        let active = store.prepare(&base, &[]).unwrap();
        let app = fs::open_at(active.root(), "app", OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
        let file = fs::create_file_at(&app, "new", 0o644).unwrap();
        std::fs::File::from(file.try_clone().unwrap()).write_all(b"content").unwrap();
        fs::chmod_fd(&file, 0o644).unwrap();
        fs::utimens_at(app.as_fd(), "new", TIME).unwrap();
        fs::utimens_at(active.root(), "app", TIME).unwrap();
        drop((app, file));
        assert_eq!(store.commit(active).unwrap().diff_id, streamed.diff_id, "{mode:?}");
    }
}

#[test]
fn there_is_no_layer_without_its_files() {
    if skipped() {
        return;
    }
    for mode in [Mode::Auto, Mode::Copy] {
        let dir = tempfile::tempdir().unwrap();
        // Nobody touched the directory, so that it is not in the layer.
        let (store, _, active) = begin(dir.path(), mode);
        let result = store.stream(active, &OneFile, &mut io::sink(), None);
        assert!(matches!(result, Err(Error::NotSpliced)), "{mode:?}: {result:?}");
    }
}
