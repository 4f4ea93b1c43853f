//! File trees by descriptor, on a real filesystem.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use cooper_sys::fs::{self, FileKind, OFlags};

fn read(fd: std::os::fd::OwnedFd) -> String {
    let mut text = String::new();
    std::fs::File::from(fd).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn resolution_stays_inside_the_root() {
    let temp = tempfile::tempdir().unwrap();
    let inside = temp.path().join("root");
    std::fs::create_dir_all(inside.join("etc")).unwrap();
    std::fs::write(temp.path().join("secret"), "outside").unwrap();
    std::fs::write(inside.join("secret"), "inside").unwrap();
    symlink("/secret", inside.join("absolute")).unwrap();
    symlink("../../../../secret", inside.join("etc/relative")).unwrap();
    symlink("/proc/self/cwd", inside.join("magic")).unwrap();
    let root = fs::open_dir(&inside).unwrap();
    for path in ["absolute", "/absolute", "etc/relative", "../secret", "/../../secret"] {
        assert_eq!(read(fs::open_in_root(&root, path, OFlags::RDONLY, 0).unwrap()), "inside", "{path}");
    }
    assert!(fs::resolve_in_root(&root, "magic", OFlags::empty()).unwrap_err().is_not_found());
    let link = fs::resolve_in_root(&root, "absolute", OFlags::NOFOLLOW).unwrap();
    assert_eq!(fs::readlink_fd(&link).unwrap(), "/secret");
}

#[test]
fn missing_directories_are_made_through_links_of_the_root() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::create_dir(temp.path().join("run")).unwrap();
    std::fs::create_dir(temp.path().join("var")).unwrap();
    symlink("/run", temp.path().join("var/run")).unwrap();
    symlink("/nowhere/yet", temp.path().join("dangling")).unwrap();
    symlink("loop", temp.path().join("loop")).unwrap();
    let root = fs::open_dir(temp.path()).unwrap();
    let mut made = Vec::new();
    let fd = fs::mkdir_all_in_root(&root, "/var/run/a/b", 0o751, |_, path| {
        made.push(path.to_owned());
        Ok(())
    })
    .unwrap();
    assert_eq!(made, [Path::new("/var/run/a"), Path::new("/var/run/a/b")]);
    assert_eq!(fs::fstat(&fd).unwrap().mode, 0o751);
    assert!(temp.path().join("run/a/b").is_dir());
    fs::mkdir_all_in_root(&root, "dangling/x", 0o755, |_, _| Ok(())).unwrap();
    assert!(temp.path().join("nowhere/yet/x").is_dir());
    assert_eq!(
        fs::mkdir_all_in_root(&root, "loop/x", 0o755, |_, _| Ok(())).unwrap_err().errno(),
        libc::ELOOP
    );
}

#[test]
fn names_with_slashes_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let dir = fs::open_dir(temp.path()).unwrap();
    for name in ["", ".", "..", "a/b", "/etc"] {
        assert_eq!(fs::mkdir_at(&dir, name, 0o755).unwrap_err().errno(), libc::EINVAL, "{name:?}");
        assert_eq!(fs::unlink_at(&dir, name).unwrap_err().errno(), libc::EINVAL, "{name:?}");
        assert_eq!(fs::remove_tree_at(&dir, name).unwrap_err().errno(), libc::EINVAL, "{name:?}");
    }
}

#[test]
fn attributes_of_a_link_are_its_own() {
    let temp = tempfile::tempdir().unwrap();
    let dir = fs::open_dir(temp.path()).unwrap();
    std::fs::write(temp.path().join("file"), "x").unwrap();
    fs::chmod_at(&dir, "file", 0o4750).unwrap();
    fs::symlink_at("file", &dir, "link").unwrap();
    fs::utimens_at(&dir, "link", (12, 345)).unwrap();
    let stat = fs::stat_at(&dir, "link").unwrap();
    assert_eq!((stat.kind, stat.mtime), (FileKind::Symlink, (12, 345)));
    assert_eq!(fs::chmod_at(&dir, "link", 0o777).unwrap_err().errno(), libc::EOPNOTSUPP);
    assert_eq!(std::fs::metadata(temp.path().join("file")).unwrap().permissions().mode() & 0o7777, 0o4750);
    assert_eq!(fs::open_at(&dir, "link", OFlags::RDONLY).unwrap_err().errno(), libc::ELOOP);
}

#[test]
fn xattrs_are_read_and_written_by_name_and_by_handle() {
    let temp = tempfile::tempdir().unwrap();
    let dir = fs::open_dir(temp.path()).unwrap();
    drop(fs::create_file_at(&dir, "file", 0o644).unwrap());
    fs::set_xattr_at(&dir, "file", "user.b", b"2").unwrap();
    let handle = fs::open_at(&dir, "file", OFlags::PATH).unwrap();
    let long = vec![7; 3000];
    fs::set_xattr_fd(&handle, "user.a", &long).unwrap();
    let expected = vec![(b"user.a".to_vec(), long), (b"user.b".to_vec(), b"2".to_vec())];
    assert_eq!(fs::list_xattrs_at(&dir, "file").unwrap(), expected);
    assert_eq!(fs::list_xattrs_fd(&handle).unwrap(), expected);
    fs::remove_xattr_at(&dir, "file", "user.b").unwrap();
    assert_eq!(fs::get_xattr_at(&dir, "file", "user.b").unwrap(), None);
}

#[test]
fn a_copy_has_the_same_bytes_and_keeps_holes() {
    let temp = tempfile::tempdir().unwrap();
    let dir = fs::open_dir(temp.path()).unwrap();
    let mut from = std::fs::File::from(fs::create_file_at(&dir, "from", 0o644).unwrap());
    from.write_all(&[1; 10_000]).unwrap();
    fs::set_size(&from, 50 << 20).unwrap();
    let to = fs::create_file_at(&dir, "to", 0o644).unwrap();
    assert_eq!(fs::copy_file(&from, &to, u64::MAX).unwrap(), 50 << 20);
    assert!(std::fs::metadata(temp.path().join("to")).unwrap().blocks() < 1000);
    let same =
        std::fs::read(temp.path().join("from")).unwrap() == std::fs::read(temp.path().join("to")).unwrap();
    assert!(same);
}

#[test]
fn a_tree_without_permission_bits_is_removed_and_links_are_not_followed() {
    let temp = tempfile::tempdir().unwrap();
    let tree = temp.path().join("tree");
    std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
    std::fs::create_dir(temp.path().join("kept")).unwrap();
    std::fs::write(temp.path().join("kept/file"), "").unwrap();
    symlink("../../kept", tree.join("a/link")).unwrap();
    std::fs::write(tree.join("a/b/c/file"), "").unwrap();
    for path in ["a/b/c", "a/b", "a"] {
        std::fs::set_permissions(tree.join(path), std::fs::Permissions::from_mode(0o000)).unwrap();
    }
    fs::remove_tree(&tree).unwrap();
    fs::remove_tree(&tree).unwrap();
    assert!(!tree.exists());
    assert!(temp.path().join("kept/file").exists());
}

#[test]
fn an_atomic_write_replaces_and_leaves_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    fs::write_atomic(temp.path(), "record", b"one").unwrap();
    fs::write_atomic(temp.path(), "record", b"two").unwrap();
    assert_eq!(std::fs::read(temp.path().join("record")).unwrap(), b"two");
    assert_eq!(fs::read_dir(fs::open_dir(temp.path()).unwrap()).unwrap().len(), 1);
}

#[test]
fn locks_exclude_each_other() {
    let temp = tempfile::tempdir().unwrap();
    let [one, two] = [(), ()].map(|()| std::fs::File::create(temp.path().join("lock")).unwrap());
    fs::flock_shared(&one).unwrap();
    assert!(fs::try_flock_shared(&two).unwrap());
    assert!(!fs::try_flock_exclusive(&two).unwrap());
    fs::flock_unlock(&one).unwrap();
    assert!(fs::try_flock_exclusive(&two).unwrap());
}
