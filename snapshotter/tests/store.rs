//! The store keeps its promises: to many processes, after kills, after power cuts, and when it is cleaned.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use common::{archive, at, base, place, push, skipped, unpack};
use cooper_oci::{Descriptor, Digest, media};
use cooper_snapshotter::{BlobForm, Chain, Error, Mode, ObjectKind, PruneOptions, Sharing, Store, TreeKind};

fn open_as(dir: &Path, boot: &str) -> Store {
    Store::open_as_boot(dir, Mode::Auto, boot.to_owned()).unwrap()
}

#[test]
fn a_blob_is_there_when_it_is_whole_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let digest = Digest::sha256_of(b"hello");
    let mut writer = store.blob_writer(Some(&digest), Some(5)).unwrap();
    writer.write_all(b"hel").unwrap();
    assert_eq!(store.has_blob(&digest).unwrap(), None);
    drop(writer);
    let mut writer = store.blob_writer(Some(&digest), Some(5)).unwrap();
    writer.write_all(b"hello").unwrap();
    assert_eq!(writer.commit().unwrap(), digest);
    assert_eq!(store.has_blob(&digest).unwrap(), Some(5));
    let mut text = String::new();
    store.open_blob(&digest).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

#[test]
fn a_blob_can_be_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let digest = Digest::sha256_of(b"right");
    let mut writer = store.blob_writer(Some(&digest), Some(5)).unwrap();
    writer.write_all(b"wrong").unwrap();
    assert_eq!(writer.digest(), Digest::sha256_of(b"wrong"));
    writer.restart().unwrap();
    writer.write_all(b"right").unwrap();
    assert_eq!((writer.digest(), writer.written()), (digest.clone(), 5));
    assert_eq!(writer.commit().unwrap(), digest);
    assert_eq!(store.read_blob_verified(&digest, 5).unwrap(), b"right");
}

#[test]
fn content_that_is_not_what_was_announced_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let digest = Digest::sha256_of(b"hello");
    let mut writer = store.blob_writer(Some(&digest), Some(5)).unwrap();
    writer.write_all(b"hallo").unwrap();
    assert!(matches!(writer.commit(), Err(Error::DigestMismatch { .. })));
    let mut short = store.blob_writer(Some(&digest), Some(5)).unwrap();
    short.write_all(b"hel").unwrap();
    assert!(matches!(short.commit(), Err(Error::SizeMismatch { .. })));
    let mut long = store.blob_writer(Some(&digest), Some(5)).unwrap();
    assert!(long.write_all(b"hello!").is_err());
    assert_eq!(store.has_blob(&digest).unwrap(), None);
}

#[test]
fn a_rotten_blob_is_found_removed_and_can_be_stored_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let digest = store.put_blob(b"good").unwrap();
    let path = dir.path().join("blobs/sha256").join(digest.hex());
    for verify in [false, true] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"evil").unwrap();
        let error = if verify {
            store.verify_blob(&digest).unwrap_err()
        } else {
            store.read_blob_verified(&digest, 100).unwrap_err()
        };
        assert!(matches!(error, Error::BlobDamaged(_)) && error.is_miss());
        assert_eq!(store.has_blob(&digest).unwrap(), None);
        store.put_blob(b"good").unwrap();
        assert_eq!(store.read_blob_verified(&digest, 100).unwrap(), b"good");
    }
    assert!(matches!(store.read_blob_verified(&digest, 3), Err(Error::BlobTooLarge { .. })));
}

#[test]
fn names_steps_and_layers_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let target = Descriptor::of(media::OCI_MANIFEST, b"{}");
    {
        let store = Store::open(dir.path()).unwrap();
        store.tag("docker.io/library/a:1", target.clone()).unwrap();
        store.tag("b", target.clone()).unwrap();
        store.put_step("key/1", b"record").unwrap();
        store.put_context_index("/home/me/project", b"index").unwrap();
    }
    let store = Store::open(dir.path()).unwrap();
    let names: Vec<String> = store.images().unwrap().into_iter().map(|image| image.name).collect();
    assert_eq!(names, ["b", "docker.io/library/a:1"]);
    assert_eq!(store.image("b").unwrap().unwrap().target, target);
    assert!(store.untag("b").unwrap());
    assert!(!store.untag("b").unwrap());
    assert_eq!(store.get_step("key/1").unwrap().unwrap(), b"record");
    assert_eq!(store.get_step("key/2").unwrap(), None);
    assert_eq!(store.context_index("/home/me/project").unwrap().unwrap(), b"index");
    fs::write(dir.path().join("steps/key%2F1"), b"cooper-record 1 torn").unwrap();
    assert_eq!(store.get_step("key/1").unwrap(), None);
}

#[test]
fn a_newer_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    fs::write(dir.path().join("version"), "2\n").unwrap();
    assert!(matches!(Store::open(dir.path()), Err(Error::StoreVersion { .. })));
}

#[test]
fn one_at_a_time_works_on_a_step() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let lock = store.lock_step("k").unwrap();
    assert!(store.try_lock_step("k").unwrap().is_none());
    assert!(Store::open(dir.path()).unwrap().try_lock_step("k").unwrap().is_none());
    assert!(store.try_lock_step("other").unwrap().is_some());
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| store.lock_step("k").map(|_| ()));
        drop(lock);
        waiter.join().unwrap().unwrap();
    });
    // However many wait, only one holds it, though the file comes and goes.
    let inside = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let _lock = store.lock_step("k").unwrap();
                    assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                }
            });
        }
    });
}

#[test]
fn cache_mounts_are_shared_kept_apart_or_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let first = store.cache_mount("go", Sharing::Shared).unwrap();
    assert!(first.is_fresh());
    let second = store.cache_mount("go", Sharing::Shared).unwrap();
    assert!(!second.is_fresh());
    assert_eq!(first.path(), second.path());
    let private = store.cache_mount("go", Sharing::Private).unwrap();
    assert_ne!(first.path(), private.path());
    let removed = store.prune(&PruneOptions { all: true, ..PruneOptions::default() }).unwrap().removed;
    assert_eq!(removed, []);
    drop((first, second, private));
    let removed = store.prune(&PruneOptions { all: true, ..PruneOptions::default() }).unwrap().removed;
    assert_eq!(removed.iter().filter(|object| object.kind == ObjectKind::Mount).count(), 2);
}

/// A chain of the base and one committed layer.
fn small_chain(store: &Store) -> Chain {
    let mut chain = Chain::default();
    push(store, &mut chain, &base()).unwrap();
    let active = store.prepare(&chain, &[]).unwrap();
    fs::write(at(active.root()).join("made"), "by a step").unwrap();
    chain.push(store.commit(active).unwrap().diff_id);
    chain
}

#[test]
fn after_a_power_cut_nothing_is_trusted_unchecked() {
    if skipped() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open_as(dir.path(), "boot-a");
    let chain = small_chain(&store);
    // The machine stops: nothing is closed, and a file that was not on disk yet is empty.
    std::mem::forget(store);
    let made = dir.path().join("snapshots").join(chain.layers()[1].hex()).join("fs/made");
    let time = fs::metadata(&made).unwrap().modified().unwrap();
    fs::write(&made, "").unwrap();
    fs::File::open(&made).unwrap().set_modified(time).unwrap();

    let same_boot = open_as(dir.path(), "boot-a");
    assert!(same_boot.has_snapshot(&chain).unwrap(), "a killed process costs nothing");
    std::mem::forget(same_boot);

    let store = open_as(dir.path(), "boot-b");
    assert!(!store.has_snapshot(&chain).unwrap());
    assert!(store.has_snapshot(&chain.prefix(1)).unwrap(), "the other layer is whole");
    assert!(!made.exists());
    // The step is done again.
    assert_eq!(small_chain(&store).layers()[0], chain.layers()[0]);
}

#[test]
fn every_kind_of_loss_is_noticed_after_a_power_cut() {
    if skipped() {
        return;
    }
    type Loss = (&'static str, fn(&Path));
    let losses: [Loss; 7] = [
        ("a file", |root| fs::remove_file(root.join("fs/etc/passwd")).unwrap()),
        ("an added file", |root| fs::write(root.join("fs/etc/odd"), "").unwrap()),
        ("a mode", |root| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(root.join("fs/bin/su"), mode).unwrap();
        }),
        ("the manifest", |root| fs::write(root.join("tree"), "").unwrap()),
        ("the record", |root| fs::write(root.join("meta"), "").unwrap()),
        ("the whole tree", |root| fs::remove_dir_all(root.join("fs")).unwrap()),
        ("a link", |root| {
            fs::remove_file(root.join("fs/lib")).unwrap();
            std::os::unix::fs::symlink("x", root.join("fs/lib")).unwrap();
        }),
    ];
    for (name, loss) in losses {
        let dir = tempfile::tempdir().unwrap();
        let store = open_as(dir.path(), "boot-a");
        let chain = small_chain(&store);
        std::mem::forget(store);
        loss(&dir.path().join("snapshots").join(chain.layers()[0].hex()));
        let store = open_as(dir.path(), "boot-b");
        assert!(!store.has_snapshot(&chain).unwrap(), "{name}");
        unpack(&store, &chain.prefix(1), &[&base()]).unwrap();
        assert!(store.has_snapshot(&chain).unwrap(), "{name}: repaired");
    }
}

#[test]
fn a_clean_stop_needs_no_checks_at_the_next_boot() {
    if skipped() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open_as(dir.path(), "boot-a");
    let chain = small_chain(&store);
    drop(store);
    // Only a check would notice this.
    let made = dir.path().join("snapshots").join(chain.layers()[1].hex()).join("fs/made");
    fs::write(&made, "changed").unwrap();
    let store = open_as(dir.path(), "boot-b");
    assert!(store.has_snapshot(&chain).unwrap());
    assert_eq!(store.verify_snapshots().unwrap(), 1);
    assert!(!store.has_snapshot(&chain).unwrap());
}

#[test]
fn what_a_dead_process_left_behind_is_cleaned() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let alive = store.temp_dir("work").unwrap();
    let dead = dir.path().join("tmp/999-0000");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("junk"), "x").unwrap();
    fs::write(dir.path().join("locks/session-999-0000"), "s abc\n").unwrap();
    fs::write(dir.path().join("locks/session-998-0000"), "").unwrap();
    let other = Store::open(dir.path()).unwrap();
    assert!(alive.exists() && !dead.exists());
    assert!(!dir.path().join("locks/session-999-0000").exists());
    assert!(!dir.path().join("locks/session-998-0000").exists());
    drop((store, other));
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
}

/// An image of the chain, with manifest and config as blobs.
fn tag_chain(store: &Store, name: &str, chain: &Chain) {
    let diff_ids: Vec<&str> = chain.layers().iter().map(Digest::as_str).collect();
    let config = serde_json::to_vec(&serde_json::json!({"rootfs": {"diff_ids": diff_ids}})).unwrap();
    let config = store.put_blob(&config).unwrap();
    let manifest = serde_json::to_vec(&serde_json::json!({"config": {"digest": config}})).unwrap();
    store.put_blob(&manifest).unwrap();
    store.tag(name, Descriptor::of(media::OCI_MANIFEST, &manifest)).unwrap();
}

#[test]
fn pruning_takes_what_nothing_refers_to_and_nothing_else() {
    if skipped() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (tagged, by_step, loose);
    {
        let store = Store::open(dir.path()).unwrap();
        tagged = small_chain(&store);
        tag_chain(&store, "kept", &tagged);
        let mut chain = Chain::default();
        push(&store, &mut chain, &archive().file("step", "s").bytes()).unwrap();
        by_step = chain;
        store.put_step("k", format!("{{\"layer\":\"{}\"}}", by_step.layers()[0]).as_bytes()).unwrap();
        let mut chain = Chain::default();
        push(&store, &mut chain, &archive().file("loose", "l").bytes()).unwrap();
        loose = chain;
        store.put_blob(b"loose").unwrap();
        // In use by this session: not taken.
        assert_eq!(store.prune(&PruneOptions::default()).unwrap().removed, []);
    }
    let store = Store::open(dir.path()).unwrap();
    let usage = store.disk_usage().unwrap();
    assert_eq!(
        (usage.snapshots.count, usage.blobs.count, usage.steps.count, usage.images.count),
        (4, 3, 1, 1)
    );
    assert!(usage.unreferenced_bytes > 0);
    let dry = store.prune(&PruneOptions { dry_run: true, ..PruneOptions::default() }).unwrap();
    let report = store.prune(&PruneOptions::default()).unwrap();
    assert_eq!(dry, report);
    let mut kinds: Vec<ObjectKind> = report.removed.iter().map(|object| object.kind).collect();
    kinds.sort();
    assert_eq!(kinds, [ObjectKind::Snapshot, ObjectKind::Layer, ObjectKind::Blob]);
    assert!(report.freed_bytes > 0);
    assert!(store.has_snapshot(&tagged).unwrap() && store.has_snapshot(&by_step).unwrap());
    assert!(!store.has_snapshot(&loose).unwrap());
    drop(store);

    let store = Store::open(dir.path()).unwrap();
    store.prune(&PruneOptions { all: true, ..PruneOptions::default() }).unwrap();
    assert!(store.has_snapshot(&tagged).unwrap() && !store.has_snapshot(&by_step).unwrap());
    assert_eq!(store.get_step("k").unwrap(), None);
    store.untag("kept").unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    store.prune(&PruneOptions { all: true, ..PruneOptions::default() }).unwrap();
    let left = store.disk_usage().unwrap();
    assert_eq!((left.snapshots.count, left.blobs.count, left.steps.count), (0, 0, 0));
}

#[test]
fn a_limit_evicts_what_is_cheap_to_make_again_first() {
    if skipped() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut chains = Vec::new();
    {
        let store = Store::open(dir.path()).unwrap();
        for (name, duration_ms) in [("slow", 600_000), ("quick", 10)] {
            let mut chain = Chain::default();
            push(&store, &mut chain, &archive().file(name, &name.repeat(100_000)).bytes()).unwrap();
            let record = format!("{{\"duration_ms\":{duration_ms},\"layers\":[\"{}\"]}}", chain.layers()[0]);
            store.put_step(name, record.as_bytes()).unwrap();
            chains.push(chain);
        }
        store.sync().unwrap();
    }
    let store = Store::open(dir.path()).unwrap();
    let before = store.disk_usage().unwrap();
    let limit = before.snapshots.bytes - 100_000;
    let report = store.prune(&PruneOptions { keep_bytes: Some(limit), ..PruneOptions::default() }).unwrap();
    assert!(report.kept_bytes <= limit + before.steps.bytes, "{report:?}");
    assert!(store.get_step("slow").unwrap().is_some() && store.get_step("quick").unwrap().is_none());
    assert!(store.has_snapshot(&chains[0]).unwrap() && !store.has_snapshot(&chains[1]).unwrap());
}

#[test]
fn pruning_all_the_time_never_disturbs_builds() {
    if skipped() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pruner = scope.spawn(|| {
            let store = Store::open(dir.path()).unwrap();
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                store.prune(&PruneOptions { all: true, ..PruneOptions::default() }).unwrap();
            }
        });
        let dir = &dir;
        let build = move |number: u32| {
            for round in 0..5 {
                let store = Store::open(dir.path()).unwrap();
                let mut chain = small_chain(&store);
                for step in 0..3 {
                    let active = store.prepare(&chain, &[]).unwrap();
                    fs::write(at(active.root()).join("n"), format!("{number} {round} {step}")).unwrap();
                    chain.push(store.commit(active).unwrap().diff_id);
                    store.sync().unwrap();
                    assert!(store.has_snapshot(&chain).unwrap());
                }
                let digest = store.put_blob(format!("{number} {round}").as_bytes()).unwrap();
                store.read_blob_verified(&digest, 100).unwrap();
            }
        };
        let builders: Vec<_> = (0..2).map(|number| scope.spawn(move || build(number))).collect();
        let results: Vec<_> = builders.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        pruner.join().unwrap();
        assert!(results.iter().all(Result::is_ok));
    });
}

#[test]
fn a_layer_can_be_read_again_from_its_compressed_blob() {
    if skipped() {
        return;
    }
    let place = place(Mode::Auto);
    let store = &place.store;
    // No writer of ours would make this archive: the snapshot cannot give it back.
    let mut tar = base();
    tar.extend_from_slice(&[0; 4096]);
    let mut chain = Chain::default();
    push(store, &mut chain, &tar).unwrap();
    let diff_id = chain.layers()[0].clone();
    let mut out = Vec::new();
    assert!(matches!(store.layer_tar(&diff_id, &mut out), Err(Error::NotReproducible(_))));
    let blob = store.put_blob(&tar).unwrap();
    let form =
        BlobForm { digest: blob, size_bytes: tar.len() as u64, media_type: media::OCI_LAYER_TAR.into() };
    store.record_blob_form(&diff_id, form).unwrap();
    out.clear();
    store.layer_tar(&diff_id, &mut out).unwrap();
    assert_eq!(out, tar);
}

#[test]
fn whole_trees_come_out_as_one_tar_or_as_a_directory() {
    if skipped() {
        return;
    }
    let place = place(Mode::Auto);
    let store = &place.store;
    let mut chain = Chain::default();
    push(store, &mut chain, &base()).unwrap();
    push(store, &mut chain, &archive().dir("etc").file("etc/.wh.passwd", "").file("top", "t").bytes())
        .unwrap();
    let seen = common::listing(store.view(&chain).unwrap().root());
    let mut tar = Vec::new();
    let (digest, size) = store.flatten_tar(&chain, &mut tar).unwrap();
    assert_eq!((digest, size), (Digest::sha256_of(&tar), tar.len() as u64));
    let mut flat = Chain::default();
    push(store, &mut flat, &tar).unwrap();
    assert_eq!(common::listing(store.view(&flat).unwrap().root()), seen);
    assert!(
        store.tree(&flat.layers()[0]).unwrap().entries.iter().all(|entry| entry.kind != TreeKind::Whiteout)
    );
    let out = place.dir.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::create_dir(out.join("top")).unwrap();
    store.export_dir(&chain, &out, cooper_snapshotter::ExportOptions::default()).unwrap();
    let dir = fs::File::open(&out).unwrap();
    assert_eq!(common::listing(std::os::fd::AsFd::as_fd(&dir)), seen);
}

/// Not a test of its own: the child of the next one.
#[test]
fn child_that_commits_until_it_is_killed() {
    let Some(dir) = std::env::var_os("COOPER_TEST_KILLED_CHILD") else { return };
    let store = Store::open(Path::new(&dir)).unwrap();
    let mut chain = Chain::default();
    for round in 0.. {
        chain = if round % 10 == 0 { small_chain(&store) } else { chain };
        let active = store.prepare(&chain, &[]).unwrap();
        fs::write(at(active.root()).join("round"), round.to_string()).unwrap();
        chain.push(store.commit(active).unwrap().diff_id);
        store.put_blob(round.to_string().as_bytes()).unwrap();
        store.put_step(&round.to_string(), b"{}").unwrap();
        fs::write(Path::new(&dir).join("progress"), round.to_string()).unwrap();
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may start itself")]
fn a_kill_at_any_moment_leaves_a_store_that_works() {
    if skipped() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for round in 0..6_u64 {
        let _ = fs::remove_file(dir.path().join("progress"));
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_commits_until_it_is_killed"])
            .env("COOPER_TEST_KILLED_CHILD", dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while !dir.path().join("progress").exists() {
            assert!(child.try_wait().unwrap().is_none());
            std::thread::yield_now();
        }
        // Any moment is as good as another.
        for _ in 0..round * 500_000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let left = fs::read_dir(dir.path().join("tmp")).unwrap().count();
        assert_eq!(left, 0, "the session of this process needs none yet");
        assert_eq!(store.verify_snapshots().unwrap(), 0);
        for name in fs::read_dir(dir.path().join("blobs/sha256")).unwrap() {
            let name = name.unwrap().file_name().into_string().unwrap();
            store.verify_blob(&format!("sha256:{name}").parse().unwrap()).unwrap();
        }
        small_chain(&store);
    }
    let store = Store::open(dir.path()).unwrap();
    store.prune(&PruneOptions { unused_for: Some(Duration::ZERO), ..PruneOptions::default() }).unwrap();
    assert_eq!(store.disk_usage().unwrap().snapshots.count, 0);
}
