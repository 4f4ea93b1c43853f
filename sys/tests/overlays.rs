//! Overlay mounts. Needs root; says so and passes otherwise.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cooper_sys::{fs, overlay};

fn skipped() -> bool {
    let skip = !rustix::process::geteuid().is_root();
    if skip {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: needs root\n");
    }
    skip
}

fn dirs(base: &Path, names: &[&str]) -> Vec<PathBuf> {
    let paths: Vec<_> = names.iter().map(|name| base.join(name)).collect();
    for path in &paths {
        std::fs::create_dir(path).unwrap();
    }
    paths
}

#[test]
fn changes_of_every_kind_of_file_go_to_the_upper_directory() {
    if skipped() {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let [lower, upper, work] = dirs(temp.path(), &["lower", "upper", "work"]).try_into().unwrap();
    overlay::supported(temp.path()).unwrap();
    std::fs::create_dir(lower.join("dir")).unwrap();
    std::fs::write(lower.join("dir/file"), "old").unwrap();
    symlink("file", lower.join("dir/link")).unwrap();
    fs::mkfifo_at(fs::open_dir(&lower).unwrap(), "fifo", 0o644).unwrap();
    let merged = overlay::mount(
        &[&lower],
        Some((&upper, &work)),
        overlay::Options { volatile: true, ..Default::default() },
    )
    .unwrap();
    fs::chown_at(&merged, "fifo", 5, 6).unwrap();
    let dir = fs::resolve_in_root(&merged, "dir", fs::OFlags::empty()).unwrap();
    fs::chown_at(&dir, "link", 5, 6).unwrap();
    fs::unlink_at(&dir, "file").unwrap();
    let upper = fs::open_dir(&upper).unwrap();
    assert_eq!(fs::stat_at(&upper, "fifo").unwrap().uid, 5);
    let upper_dir = fs::open_at(&upper, "dir", fs::OFlags::PATH).unwrap();
    assert_eq!(fs::stat_at(&upper_dir, "link").unwrap().uid, 5);
    assert!(overlay::is_whiteout(&fs::stat_at(&upper_dir, "file").unwrap()));
    fs::rmdir_at(&merged, "nothing").unwrap_err();
    fs::remove_tree_at(&merged, "dir").unwrap();
    fs::mkdir_at(&merged, "dir", 0o755).unwrap();
    let opaque = fs::get_xattr_at(&upper, "dir", overlay::OPAQUE_XATTR).unwrap();
    assert_eq!(opaque.as_deref(), Some(overlay::OPAQUE_VALUE));
}

#[test]
fn a_hundred_layers_with_long_paths_can_be_read() {
    if skipped() {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let base = temp.path().join("x".repeat(200)).join("y".repeat(200));
    std::fs::create_dir_all(&base).unwrap();
    let names: Vec<String> = (0..100).map(|n| format!("odd:name,{n}")).collect();
    let layers = dirs(&base, &names.iter().map(String::as_str).collect::<Vec<_>>());
    for (n, layer) in layers.iter().enumerate() {
        std::fs::write(layer.join(format!("file{n}")), "").unwrap();
    }
    let layers: Vec<&Path> = layers.iter().map(PathBuf::as_path).collect();
    let merged = overlay::mount(&layers, None, overlay::Options::default()).unwrap();
    assert_eq!(fs::read_dir(&merged).unwrap().len(), 100);
    let single = overlay::mount(&layers[..1], None, overlay::Options::default()).unwrap();
    assert_eq!(fs::mkdir_at(&single, "x", 0o755).unwrap_err().errno(), libc::EROFS);
}
