//! Layers and archives are unpacked as if chrooted, and nothing outside is touched.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use common::{Archive, TIME, archive, at, base, entry, listing, place, push, skipped};
use cooper_oci::Digest;
use cooper_oci::tar::{Entry, EntryKind};
use cooper_snapshotter::{Chain, Error, ExtractOptions, Mode, Report, Store, extract};

const MODES: [Mode; 2] = [Mode::Auto, Mode::Copy];

/// The tree of a chain of layers, in both modes, which must agree.
fn tree_of(layers: &[Vec<u8>]) -> Vec<String> {
    let mut trees = Vec::new();
    for mode in MODES {
        let place = place(mode);
        let mut chain = Chain::default();
        for layer in layers {
            push(&place.store, &mut chain, layer).unwrap();
        }
        trees.push(listing(place.store.view(&chain).unwrap().root()));
        assert_eq!(place.store.verify_snapshots().unwrap(), 0);
    }
    assert_eq!(trees[0], trees[1], "overlay and copy differ");
    trees.swap_remove(0)
}

fn has(tree: &[String], path: &str) -> bool {
    tree.iter().any(|line| line.split(' ').next() == Some(path))
}

fn line<'a>(tree: &'a [String], path: &str) -> &'a str {
    tree.iter().find(|line| line.split(' ').next() == Some(path)).map_or("missing", |line| line)
}

#[test]
fn whiteouts_and_opaque_marks_hide_lower_layers_only() {
    if skipped() {
        return;
    }
    let top = archive()
        .file("etc/.wh.passwd", "")
        .dir("lib.d")
        .file("lib.d/new", "n")
        .file("lib.d/.wh..wh..opq", "")
        .file("data/.wh.var", "")
        .dir("data/var")
        .file("data/var/other", "o")
        .file(".wh.absent", "")
        .bytes();
    let tree = tree_of(&[base(), top]);
    for gone in ["etc/passwd", "lib.d/a", "lib.d/sub", "data/var/log"] {
        assert!(!has(&tree, gone), "{gone}");
    }
    for there in ["etc/hosts.allow", "lib.d/new", "data/var/other"] {
        assert!(has(&tree, there), "{there}");
    }
}

#[test]
fn a_name_that_the_layer_brings_itself_survives_its_own_whiteout() {
    if skipped() {
        return;
    }
    for with_directories in [true, false] {
        let mut top = archive();
        if with_directories {
            top = top.dir("lib.d").dir("etc");
        }
        let top = top.dir("lib.d/sub").file("lib.d/sub/mine", "m").file("lib.d/.wh.sub", "");
        let tree = tree_of(&[base(), top.file("etc/passwd", "p").file("etc/.wh.passwd", "").bytes()]);
        assert!(has(&tree, "lib.d/sub/mine"));
        assert!(!has(&tree, "lib.d/sub/b"));
        assert!(line(&tree, "etc/passwd").contains("\"p\""));
    }
}

#[test]
fn directories_without_a_member_look_like_the_parents() {
    if skipped() {
        return;
    }
    let parents = archive().add(entry(EntryKind::Dir, "opt", 0o1777)).bytes();
    let top = archive().file("opt/a/b/f", "x").bytes();
    let tree = tree_of(&[parents, top.clone()]);
    assert!(line(&tree, "opt").starts_with("opt 1777 0:0"));
    assert!(line(&tree, "opt/a").starts_with("opt/a 755 0:0"));
    assert!(line(&tree_of(&[top]), "opt").starts_with("opt 755 0:0"));
}

#[test]
fn a_layer_that_needs_its_parents_is_not_shared_with_other_chains() {
    if skipped() {
        return;
    }
    for mode in MODES {
        let place = place(mode);
        let store = &place.store;
        let top = archive().file("opt/f", "x").bytes();
        let mut chains = Vec::new();
        for mode in [0o700, 0o750] {
            let mut chain = Chain::default();
            push(store, &mut chain, &archive().add(entry(EntryKind::Dir, "opt", mode)).bytes()).unwrap();
            push(store, &mut chain, &top).unwrap();
            chains.push((chain, mode));
        }
        let mut alone = Chain::default();
        push(store, &mut alone, &top).unwrap();
        chains.push((alone, 0o755));
        for (chain, mode) in chains {
            let view = store.view(&chain).unwrap();
            assert_eq!(fs::metadata(at(view.root()).join("opt")).unwrap().mode() & 0o7777, mode);
        }
    }
}

#[test]
fn members_below_a_link_of_a_lower_layer_go_where_the_link_leads() {
    if skipped() {
        return;
    }
    let top = archive().file("lib/new", "n").file("var/run", "r").bytes();
    let tree = tree_of(&[base(), top]);
    assert!(line(&tree, "lib").contains("->"));
    assert!(has(&tree, "lib.d/new"));
    assert!(has(&tree, "data/var/run"));
    let in_one = archive().dir("run").symlink("var", "/run").file("var/x", "x").bytes();
    assert!(has(&tree_of(&[in_one]), "run/x"));
}

#[test]
fn an_explicit_directory_replaces_a_link() {
    if skipped() {
        return;
    }
    let tree = tree_of(&[base(), archive().dir("lib").file("lib/x", "x").bytes()]);
    assert!(line(&tree, "lib").ends_with("dir"));
    assert!(has(&tree, "lib/x") && has(&tree, "lib.d/a"));
}

#[test]
fn hard_links_reach_into_lower_layers() {
    if skipped() {
        return;
    }
    let top = archive().hard("etc/shadow", "/etc/passwd").hard("same", "lib/a").bytes();
    let tree = tree_of(&[base(), top]);
    assert!(line(&tree, "etc/shadow").ends_with("links 2"));
    assert!(line(&tree, "same").contains("\"a\""));
}

#[test]
fn the_last_of_several_members_wins_whatever_they_are() {
    if skipped() {
        return;
    }
    let tree = tree_of(&[archive()
        .file("a", "1")
        .file("a", "2")
        .dir("b")
        .file("b/x", "x")
        .file("b", "now a file")
        .file("c", "file")
        .file("c/below", "b")
        .symlink("d", "a")
        .file("d", "not through")
        .dir("e")
        .symlink("e", "a")
        .bytes()]);
    assert!(line(&tree, "a").contains("\"2\""));
    assert!(line(&tree, "b").contains("now a file"));
    assert!(has(&tree, "c/below"));
    assert!(line(&tree, "d").contains("not through"));
    assert!(line(&tree, "e").contains("-> a"));
}

#[test]
fn no_member_gets_out() {
    if skipped() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let canary = outside.path().join("canary");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("f"), "safe").unwrap();
    let before = (fs::metadata(&canary).unwrap().mtime_nsec(), fs::read_dir(&canary).unwrap().count());
    let out = canary.to_str().unwrap();
    let up = format!("../../../../../../../../..{out}");
    let layers: Vec<Vec<u8>> = [
        archive().file(&format!("{up}/f"), "evil"),
        archive().symlink("x", out).file("x/f", "evil").file("x/g", "evil"),
        archive().symlink("x", &up).file("x/.wh.f", "").file("x/.wh..wh..opq", ""),
        archive().symlink("x", out).add(Entry { uid: 1234, ..entry(EntryKind::Dir, "x/", 0o700) }),
        archive().symlink("a", out).symlink("b", "a").file("b/new", "evil"),
    ]
    .map(Archive::bytes)
    .into();
    for mode in MODES {
        for (index, layer) in layers.iter().enumerate() {
            let place = place(mode);
            let mut chain = Chain::default();
            push(&place.store, &mut chain, &base()).unwrap();
            // Fine or refused; nothing outside changes.
            let _ = push(&place.store, &mut chain, layer);
            let _ = push(&place.store, &mut chain, &archive().file("x/later", "l").bytes());
            assert_eq!(fs::read_to_string(canary.join("f")).unwrap(), "safe", "{index}");
            let after = (fs::metadata(&canary).unwrap().mtime_nsec(), fs::read_dir(&canary).unwrap().count());
            assert_eq!(after, before, "{index}");
        }
    }
}

#[test]
fn members_that_mean_nothing_sensible_are_refused() {
    if skipped() {
        return;
    }
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("root as link", archive().symlink("./", "/etc").bytes()),
        ("root as file", archive().file("a/..", "x").bytes()),
        ("whiteout without name", archive().file(".wh.", "").bytes()),
        ("whiteout of dots", archive().file("d/.wh...", "").bytes()),
        ("hard link to nothing", archive().hard("h", "nowhere").bytes()),
        ("hard link to a directory", archive().dir("d").hard("h", "d").bytes()),
        ("hard link to the root", archive().hard("h", "/").bytes()),
        ("link loop", archive().symlink("l", "l").file("l/x", "x").bytes()),
    ];
    for mode in MODES {
        for (name, layer) in &bad {
            for below in [None, Some(base())] {
                let place = place(mode);
                let mut chain = Chain::default();
                if let Some(below) = below {
                    push(&place.store, &mut chain, &below).unwrap();
                }
                assert!(push(&place.store, &mut chain, layer).is_err(), "{name}");
                assert_eq!(
                    place.store.prune(&cooper_snapshotter::PruneOptions::default()).unwrap().removed,
                    []
                );
            }
        }
    }
}

#[test]
fn the_overlays_own_marks_cannot_be_smuggled_in() {
    if skipped() {
        return;
    }
    let mut dir = entry(EntryKind::Dir, "etc", 0o755);
    for key in
        ["user.overlay.opaque", "trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.redirect"]
    {
        dir.xattrs.insert(key.into(), b"y".to_vec());
    }
    let node = entry(EntryKind::CharDevice, "lib", 0o600);
    let place = place(Mode::Auto);
    let mut chain = Chain::default();
    push(&place.store, &mut chain, &base()).unwrap();
    let report = push(&place.store, &mut chain, &archive().add(dir).add(node).bytes()).unwrap();
    assert_eq!(report.left_out, 1);
    let view = place.store.view(&chain).unwrap();
    assert!(at(view.root()).join("etc/passwd").exists());
    assert!(at(view.root()).join("lib").is_symlink());
}

#[test]
fn a_stream_with_another_digest_leaves_nothing_behind() {
    if skipped() {
        return;
    }
    for mode in MODES {
        let place = place(mode);
        let store = &place.store;
        for at_byte in [10, 600, 2000] {
            let good = base();
            let chain: Chain = [Digest::sha256_of(&good)].into_iter().collect();
            let mut bad = good.clone();
            bad[at_byte] ^= 1;
            let open = |_: &Digest| Ok(Box::new(std::io::Cursor::new(bad.clone())) as Box<dyn std::io::Read>);
            assert!(store.ensure_unpacked(&chain, &open).is_err(), "{at_byte}");
            assert!(!store.has_snapshot(&chain).unwrap());
        }
        let good = base();
        for cut in (0..good.len() - 1024).step_by(97) {
            let chain: Chain = [Digest::sha256_of(&good)].into_iter().collect();
            let open = |_: &Digest| {
                Ok(Box::new(std::io::Cursor::new(good[..cut].to_vec())) as Box<dyn std::io::Read>)
            };
            assert!(store.ensure_unpacked(&chain, &open).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn times_of_files_links_and_directories_are_kept() {
    if skipped() {
        return;
    }
    for mode in MODES {
        let place = place(mode);
        let mut chain = Chain::default();
        push(&place.store, &mut chain, &base()).unwrap();
        push(
            &place.store,
            &mut chain,
            &archive().file("lib.d/late", "l").hard("lib.d/l2", "lib.d/a").bytes(),
        )
        .unwrap();
        let view = place.store.view(&chain).unwrap();
        for path in ["bin", "bin/su", "lib", "lib.d", "lib.d/a", "lib.d/sub", "data/var/log"] {
            assert_eq!(fs::symlink_metadata(at(view.root()).join(path)).unwrap().mtime(), TIME, "{path}");
        }
    }
}

#[test]
fn a_strange_root_directory_is_kept_in_its_chain_and_gets_into_no_other() {
    if skipped() {
        return;
    }
    for mode in MODES {
        let place = place(mode);
        let store = &place.store;
        let root = Entry { uid: 5, ..entry(EntryKind::Dir, "./", 0o700) };
        let mut chain = Chain::default();
        push(store, &mut chain, &archive().add(root).file("a", "a").bytes()).unwrap();
        let plain = archive().file("b", "b").bytes();
        push(store, &mut chain, &plain).unwrap();
        let view = store.view(&chain).unwrap();
        let meta = fs::metadata(at(view.root())).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o700, 5));
        let active = store.prepare(&chain, &[]).unwrap();
        fs::write(at(active.root()).join("c"), "c").unwrap();
        let info = store.commit(active).unwrap();
        // The layer does not depend on the root that it was made on.
        assert!(store.has_snapshot(&Chain::new(vec![info.diff_id.clone()])).unwrap());
        let mode_of = |chain: &Chain| {
            let prepared = store.prepare(chain, &[]).unwrap();
            let view = store.view(chain).unwrap();
            let modes =
                [view.root(), prepared.root()].map(|root| fs::metadata(at(root)).unwrap().mode() & 0o7777);
            assert_eq!(modes[0], modes[1]);
            modes[0]
        };
        assert_eq!(mode_of(&chain.with(info.diff_id.clone())), 0o700);
        assert_eq!(mode_of(&Chain::new(vec![info.diff_id.clone()])), 0o755);
        assert_eq!(mode_of(&Chain::new(vec![Digest::sha256_of(&plain), info.diff_id])), 0o755);
        let mut other = Chain::default();
        push(store, &mut other, &plain).unwrap();
        assert_eq!(fs::metadata(at(store.view(&other).unwrap().root())).unwrap().mode() & 0o7777, 0o755);
    }
}

/// Adds an archive to a root file system made of the base.
fn add(
    store: &Store,
    dest: &str,
    tar: Archive,
    chown: Option<(u32, u32)>,
) -> cooper_snapshotter::Result<Added> {
    let mut chain = Chain::default();
    push(store, &mut chain, &base())?;
    let active = store.prepare(&chain, &[])?;
    let options = ExtractOptions { chown, ..ExtractOptions::default() };
    let report = extract(tar.bytes().as_slice(), active.root(), Path::new(dest), &options)?;
    let tree = listing(active.root());
    store.commit(active)?;
    Ok(Added { tree, report })
}

struct Added {
    tree: Vec<String>,
    report: Report,
}

#[test]
fn an_added_archive_stays_below_its_destination() {
    if skipped() {
        return;
    }
    let place = place(Mode::Auto);
    let tar = archive()
        .add(Entry { uid: 3, ..entry(EntryKind::Dir, "./", 0o700) })
        .file("/abs/f", "x")
        .hard("/abs/h", "/abs/f")
        .file("a/../b", "b")
        .file("../../up", "u");
    let added = add(&place.store, "/o/p", tar, None).unwrap();
    assert_eq!(added.report.members, 5);
    assert!(line(&added.tree, "o/p").starts_with("o/p 755 0:0"));
    for path in ["o/p/abs/h", "o/p/b", "o/p/up"] {
        assert!(has(&added.tree, path), "{path}");
    }
    assert!(!has(&added.tree, "up"));
    let escapes = archive().hard("h", "../etc/passwd");
    assert!(matches!(add(&place.store, "/o", escapes, None), Err(Error::Member { .. })));
}

#[test]
fn an_added_archive_replaces_whiteouts_and_owns_as_builders_do() {
    if skipped() {
        return;
    }
    let place = place(Mode::Auto);
    let tar = archive()
        .file("etc/.wh.passwd", "")
        .file("lib.d/.wh..wh..opq", "")
        .dir("lib.d/kept")
        .file_as(Entry { uid: 7, ..entry(EntryKind::File, "tool", 0o4755) }, "t")
        .file("var/under", "u")
        .file("data", "no longer a directory");
    let added = add(&place.store, "/", tar, Some((9, 10))).unwrap();
    assert!(!has(&added.tree, "etc/passwd") && has(&added.tree, "etc/hosts.allow"));
    assert!(!has(&added.tree, "lib.d/a") && has(&added.tree, "lib.d/kept"));
    assert!(line(&added.tree, "tool").starts_with("tool 4755 9:10"));
    assert!(line(&added.tree, "data").contains("no longer"));
    let dirs = add(&place.store, "/new/dir", archive().dir("d"), Some((9, 10))).unwrap();
    for path in ["new", "new/dir", "new/dir/d"] {
        assert!(line(&dirs.tree, path).starts_with(&format!("{path} 755 9:10")), "{path}");
    }
    let through = add(&place.store, "/lib", archive().file("m", "m"), None).unwrap();
    assert!(has(&through.tree, "lib.d/m"));
    let over = add(&place.store, "/", archive().dir("lib").file("lib/x", "x").dir("bin/su"), None).unwrap();
    assert!(line(&over.tree, "lib").ends_with("dir") && line(&over.tree, "bin/su").ends_with("dir"));
}
