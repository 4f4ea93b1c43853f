//! What a step leaves behind becomes exactly one layer, whichever way the root file system was made.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use common::{archive, at, base, listing, place, push, skipped, unpack};
use cooper_oci::Digest;
use cooper_snapshotter::{Chain, Mode, Store, Stub, StubKind, TreeKind};

type Step = fn(&Path);

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Operations, and the paths of the layer that they make (`-` before removed ones, `=` after opaque directories).
const STEPS: &[(&str, Step, &[&str])] = &[
    ("nothing", |_| {}, &[]),
    ("new file", |root| fs::write(root.join("new"), "n").unwrap(), &["new"]),
    ("new file in a directory", |root| fs::write(root.join("etc/n"), "n").unwrap(), &["etc", "etc/n"]),
    ("change", |root| fs::write(root.join("etc/passwd"), "x").unwrap(), &["etc", "etc/passwd"]),
    (
        "delete a file",
        |root| fs::remove_file(root.join("lib.d/sub/b")).unwrap(),
        &["lib.d", "lib.d/sub", "-lib.d/sub/b"],
    ),
    ("delete a directory", |root| fs::remove_dir_all(root.join("lib.d")).unwrap(), &["-lib.d"]),
    ("through a link", |root| fs::write(root.join("lib/a"), "other").unwrap(), &["lib.d", "lib.d/a"]),
    (
        "directory becomes file",
        |root| {
            fs::remove_dir_all(root.join("lib.d")).unwrap();
            fs::write(root.join("lib.d"), "now a file").unwrap();
        },
        &["lib.d"],
    ),
    (
        "file becomes directory",
        |root| {
            fs::remove_file(root.join("lib.d/a")).unwrap();
            fs::create_dir(root.join("lib.d/a")).unwrap();
            fs::write(root.join("lib.d/a/x"), "x").unwrap();
        },
        &["lib.d", "lib.d/a", "lib.d/a/x"],
    ),
    (
        "rename of a file",
        |root| fs::rename(root.join("lib.d/a"), root.join("etc/a")).unwrap(),
        &["etc", "etc/a", "lib.d", "-lib.d/a"],
    ),
    ("mode only", |root| chmod(&root.join("etc/passwd"), 0o600), &["etc", "etc/passwd"]),
    ("mode of a directory", |root| chmod(&root.join("lib.d/sub"), 0o700), &["lib.d", "lib.d/sub"]),
    ("owner to the same", |root| chown(root.join("etc/passwd"), Some(0), Some(0)).unwrap(), &[]),
    (
        "written with the same",
        |root| {
            let path = root.join("etc/passwd");
            let time = fs::metadata(&path).unwrap().modified().unwrap();
            let text = fs::read(&path).unwrap();
            fs::write(&path, text).unwrap();
            fs::File::open(&path).unwrap().set_modified(time).unwrap();
        },
        &[],
    ),
    (
        "new hard links",
        |root| {
            fs::create_dir(root.join("h")).unwrap();
            fs::write(root.join("h/1"), "linked").unwrap();
            fs::hard_link(root.join("h/1"), root.join("h/2")).unwrap();
        },
        &["h", "h/1", "h/2"],
    ),
    (
        "link to an old file",
        |root| fs::hard_link(root.join("etc/passwd"), root.join("etc/shadow")).unwrap(),
        &["etc", "etc/shadow"],
    ),
    (
        "symbolic links",
        |root| {
            fs::remove_file(root.join("lib")).unwrap();
            symlink("elsewhere", root.join("lib")).unwrap();
            symlink("/nowhere", root.join("new")).unwrap();
        },
        &["lib", "new"],
    ),
    ("socket", |root| drop(std::os::unix::net::UnixListener::bind(root.join("etc/s")).unwrap()), &["etc"]),
];

fn layer_paths(store: &Store, diff_id: &Digest) -> Vec<String> {
    let tree = store.tree(diff_id).unwrap();
    let show = |entry: &cooper_snapshotter::TreeEntry| {
        let path = String::from_utf8_lossy(&entry.path);
        match (entry.kind, entry.opaque) {
            (TreeKind::Whiteout, _) => format!("-{path}"),
            (_, true) => format!("{path}="),
            _ => path.into_owned(),
        }
    };
    tree.entries.iter().map(show).collect()
}

#[test]
fn every_operation_gives_the_same_layer_by_overlay_and_by_copy() {
    if skipped() {
        return;
    }
    let places = [place(Mode::Auto), place(Mode::Copy)];
    assert!(places[0].store.uses_overlay(), "overlays do not work here");
    let mut chain = Chain::default();
    for place in &places {
        chain = Chain::default();
        push(&place.store, &mut chain, &base()).unwrap();
    }
    for (name, step, expected) in STEPS {
        let mut contents = Vec::new();
        for place in &places {
            let store = &place.store;
            let active = store.prepare(&chain, &[]).unwrap();
            step(&at(active.root()));
            let after = listing(active.root());
            let info = store.commit(active).unwrap();
            assert_eq!(layer_paths(store, &info.diff_id), *expected, "{name}");
            let view = store.view(&chain.with(info.diff_id.clone())).unwrap();
            let seen = listing(view.root());
            let mut after = after;
            // A socket has no place in a layer.
            after.retain(|line| !line.starts_with("etc/s "));
            // The old file did not change, so it is not in the layer, and the new link stands alone.
            let alone = |lines: &[String]| -> Vec<String> {
                lines.iter().map(|line| line.replace("links 2", "links 1")).collect()
            };
            if *name == "link to an old file" {
                assert_eq!(alone(&seen), alone(&after), "{name}");
            } else {
                assert_eq!(seen, after, "{name}");
            }
            // The layer's tar has the layer's digest, and unpacks to the same tree elsewhere.
            let mut tar = Vec::new();
            store.layer_tar(&info.diff_id, &mut tar).unwrap();
            assert_eq!(Digest::sha256_of(&tar), info.diff_id, "{name}");
            assert_eq!(tar.len() as u64, info.size_bytes);
            let other = common::place(Mode::Auto);
            let other_chain = chain.with(info.diff_id.clone());
            unpack(&other.store, &other_chain, &[&base(), &tar]).unwrap();
            assert_eq!(listing(other.store.view(&other_chain).unwrap().root()), seen, "{name}");
            assert_eq!(other.store.layer(&info.diff_id).unwrap().unwrap().content, info.content, "{name}");
            contents.push(info.content);
        }
        assert_eq!(contents[0], contents[1], "{name}");
    }
}

#[test]
fn a_replaced_directory_hides_what_was_in_it() {
    if skipped() {
        return;
    }
    for mode in [Mode::Auto, Mode::Copy] {
        let place = place(mode);
        let store = &place.store;
        let mut chain = Chain::default();
        push(store, &mut chain, &base()).unwrap();
        let active = store.prepare(&chain, &[]).unwrap();
        let root = at(active.root());
        // The copy keeps the old directory alive, so that the new one cannot get its inode.
        fs::rename(root.join("lib.d/sub"), root.join("kept")).ok();
        let _ = fs::remove_dir_all(root.join("lib.d"));
        fs::create_dir(root.join("lib.d")).unwrap();
        fs::write(root.join("lib.d/only"), "o").unwrap();
        let info = store.commit(active).unwrap();
        chain.push(info.diff_id.clone());
        let view = store.view(&chain).unwrap();
        assert!(at(view.root()).join("lib.d/only").exists());
        assert!(!at(view.root()).join("lib.d/a").exists());
    }
}

#[test]
fn marks_that_hide_nothing_do_not_get_into_a_shared_layer() {
    if skipped() {
        return;
    }
    let place = place(Mode::Auto);
    let store = &place.store;
    let mut chain = Chain::default();
    push(store, &mut chain, &base()).unwrap();
    // The kernel marks every new directory opaque.
    let active = store.prepare(&chain, &[]).unwrap();
    fs::create_dir(at(active.root()).join("opt")).unwrap();
    let info = store.commit(active).unwrap();
    let mut other = Chain::default();
    push(store, &mut other, &archive().dir("opt").file("opt/theirs", "t").bytes()).unwrap();
    other.push(info.diff_id.clone());
    let view = store.view(&other).unwrap();
    assert!(at(view.root()).join("opt/theirs").exists());
}

#[test]
fn stubs_are_there_and_leave_no_trace() {
    if skipped() {
        return;
    }
    for mode in [Mode::Auto, Mode::Copy] {
        let place = place(mode);
        let store = &place.store;
        let mut chain = Chain::default();
        push(store, &mut chain, &base()).unwrap();
        let stub = |path: &str, kind| Stub { path: path.into(), kind };
        let stubs = [
            stub("/proc", StubKind::Dir),
            stub("/etc/hosts", StubKind::File),
            stub("/etc/passwd", StubKind::File),
            stub("/run/secrets/key", StubKind::File),
            stub("/var/cache/x", StubKind::Dir),
        ];
        let active = store.prepare(&chain, &stubs).unwrap();
        let root = at(active.root());
        for path in ["proc", "run/secrets", "data/var/cache/x"] {
            assert!(root.join(path).is_dir(), "{path}");
        }
        assert_eq!(fs::read(root.join("etc/hosts")).unwrap(), b"");
        assert!(fs::read(root.join("etc/passwd")).unwrap().starts_with(b"root"));
        let nothing = store.commit(active).unwrap();
        assert_eq!(nothing.entries, 0, "{:?}", layer_paths(store, &nothing.diff_id));

        let active = store.prepare(&chain, &stubs).unwrap();
        let root = at(active.root());
        fs::remove_file(root.join("etc/hosts")).unwrap();
        fs::write(root.join("run/secrets/own"), "mine").unwrap();
        let info = store.commit(active).unwrap();
        let paths = layer_paths(store, &info.diff_id);
        assert_eq!(paths, ["etc", "run", "run/secrets", "run/secrets/own"]);
    }
}

#[test]
fn the_same_layer_twice_in_a_chain_is_no_trouble() {
    if skipped() {
        return;
    }
    let place = place(Mode::Auto);
    let store = &place.store;
    let mut chain = Chain::default();
    push(store, &mut chain, &base()).unwrap();
    for _ in 0..3 {
        let info = store.commit(store.prepare(&chain, &[]).unwrap()).unwrap();
        chain.push(info.diff_id);
    }
    assert_eq!(chain.layers()[1], chain.layers()[2]);
    assert!(store.has_snapshot(&chain).unwrap());
    assert!(at(store.view(&chain).unwrap().root()).join("etc/passwd").exists());
}

#[test]
fn chains_of_more_than_127_layers_work_and_longer_ones_than_the_kernel_takes_are_copied() {
    if skipped() {
        return;
    }
    let place = place(Mode::Auto);
    let store = &place.store;
    let tars: Vec<Vec<u8>> =
        (0..510).map(|n| archive().file(&format!("f{n}"), "x").file("top", &n.to_string()).bytes()).collect();
    let chain: Chain = tars.iter().map(|tar| Digest::sha256_of(tar)).collect();
    let all: Vec<&[u8]> = tars.iter().map(Vec::as_slice).collect();
    unpack(store, &chain, &all).unwrap();
    for length in [130, 510] {
        let chain = chain.prefix(length);
        let active = store.prepare(&chain, &[]).unwrap();
        let root = at(active.root());
        assert_eq!(fs::read_to_string(root.join("top")).unwrap(), (length - 1).to_string());
        fs::remove_file(root.join("f7")).unwrap();
        let info = store.commit(active).unwrap();
        assert_eq!(layer_paths(store, &info.diff_id), ["-f7"]);
    }
}

#[test]
fn scratch_is_an_empty_directory_with_mode_755() {
    if skipped() {
        return;
    }
    for mode in [Mode::Auto, Mode::Copy] {
        let place = place(mode);
        let store = &place.store;
        let chain = Chain::default();
        assert!(listing(store.view(&chain).unwrap().root()).is_empty());
        let active = store.prepare(&chain, &[]).unwrap();
        assert_eq!(fs::metadata(at(active.root())).unwrap().permissions().mode() & 0o7777, 0o755);
        fs::write(at(active.root()).join("f"), "x").unwrap();
        let info = store.commit(active).unwrap();
        assert_eq!(layer_paths(store, &info.diff_id), ["f"]);
        assert!(store.has_snapshot(&chain.with(info.diff_id)).unwrap());
    }
}

#[test]
fn attributes_that_matter_get_into_the_layer_and_come_back() {
    if skipped() {
        return;
    }
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let place = place(Mode::Auto);
    let store = &place.store;
    let mut chain = Chain::default();
    push(store, &mut chain, &base()).unwrap();
    let active = store.prepare(&chain, &[]).unwrap();
    let root = at(active.root());
    fs::write(root.join("ping"), "p").unwrap();
    chown(root.join("ping"), Some(7), Some(8)).unwrap();
    chmod(&root.join("ping"), 0o2755);
    cooper_sys::fs::set_xattr_at(active.root(), "ping", "security.capability", &capability).unwrap();
    cooper_sys::fs::set_xattr_at(active.root(), "ping", "user.note", b"hi").unwrap();
    let info = store.commit(active).unwrap();
    let mut tar = Vec::new();
    store.layer_tar(&info.diff_id, &mut tar).unwrap();
    let other = common::place(Mode::Auto);
    chain.push(info.diff_id.clone());
    unpack(&other.store, &chain, &[&base(), &tar]).unwrap();
    let view = other.store.view(&chain).unwrap();
    let stat = cooper_sys::fs::stat_at(view.root(), "ping").unwrap();
    assert_eq!((stat.uid, stat.gid, stat.mode), (7, 8, 0o2755));
    let get = |key: &str| cooper_sys::fs::get_xattr_at(view.root(), "ping", key).unwrap();
    assert_eq!(get("security.capability").unwrap(), capability);
    assert_eq!(get("user.note").unwrap(), b"hi");
}
