//! Layers of ours mean the same to others, and theirs to us. Skips what is not installed.
#![allow(clippy::unwrap_used)]
#![expect(clippy::disallowed_methods, reason = "other programs are the oracle here")]

mod common;

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{at, base, listing, place, push, skipped};
use cooper_oci::Digest;
use cooper_snapshotter::{Chain, Mode};

fn have(program: &str) -> bool {
    let found =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("skipped: {program} is not installed\n").as_bytes(),
        );
    }
    found
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn list(dir: &Path) -> Vec<String> {
    listing(fs::File::open(dir).unwrap().as_fd())
}

/// A tree with everything that is hard to carry.
fn grow(root: &Path) {
    fs::create_dir_all(root.join("a/very/deep").join("x".repeat(120)).join("y".repeat(120))).unwrap();
    fs::write(root.join("a/very/deep").join("x".repeat(120)).join("f"), "deep").unwrap();
    fs::write(root.join("set"), "id").unwrap();
    chown(root.join("set"), Some(3_000_000 % 60_000), Some(8)).unwrap();
    fs::set_permissions(root.join("set"), fs::Permissions::from_mode(0o6755)).unwrap();
    fs::hard_link(root.join("set"), root.join("a/set")).unwrap();
    fs::create_dir(root.join("sticky")).unwrap();
    fs::set_permissions(root.join("sticky"), fs::Permissions::from_mode(0o1777)).unwrap();
    symlink("/etc/../nowhere", root.join("sticky/link")).unwrap();
    let odd: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"odd \xff\xfe\n=%name");
    fs::write(root.join(odd), "odd").unwrap();
    fs::write(root.join("ů日"), "unicode").unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(3 << 20).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"middle", 1 << 20).unwrap();
    cooper_sys::fs::mkfifo_at(fs::File::open(root).unwrap(), "fifo", 0o640).unwrap();
    fs::write(root.join("empty"), "").unwrap();
}

#[test]
fn gnu_tar_unpacks_our_layers_and_we_unpack_its_archives() {
    if skipped() || !have("tar") || !have("fallocate") {
        return;
    }
    let place = place(Mode::Auto);
    let store = &place.store;
    let active = store.prepare(&Chain::default(), &[]).unwrap();
    grow(&at(active.root()));
    let info = store.commit(active).unwrap();
    let chain: Chain = [info.diff_id.clone()].into_iter().collect();
    let ours = listing(store.view(&chain).unwrap().root());
    assert_eq!(ours.len(), 15);

    let file = place.dir.path().join("layer.tar");
    store.layer_tar(&info.diff_id, &mut fs::File::create(&file).unwrap()).unwrap();
    let theirs = place.dir.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    let (file, theirs_text) = (file.to_str().unwrap(), theirs.to_str().unwrap());
    run("tar", &["--numeric-owner", "-xpf", file, "-C", theirs_text]);
    assert_eq!(list(&theirs), ours);

    // The archive of a layer has no holes, so the file has none.
    run("fallocate", &["--dig-holes", theirs.join("sparse").to_str().unwrap()]);
    for format in ["gnu", "pax", "posix"] {
        let tar = place.dir.path().join("theirs.tar");
        let format = format!("--format={format}");
        run(
            "tar",
            &[
                "-S",
                "--hole-detection=raw",
                "--numeric-owner",
                &format,
                "-cf",
                tar.to_str().unwrap(),
                "-C",
                theirs_text,
                ".",
            ],
        );
        let mut chain = Chain::default();
        push(store, &mut chain, &fs::read(&tar).unwrap()).unwrap();
        let view = store.view(&chain).unwrap();
        assert_eq!(listing(view.root()), ours, "{format}");
        let blocks =
            std::os::unix::fs::MetadataExt::blocks(&fs::metadata(at(view.root()).join("sparse")).unwrap());
        assert!(blocks * 512 < 2 << 20, "{format}: holes are kept");
    }
}

#[test]
fn umoci_unpacks_our_layers_to_the_same_tree() {
    if skipped() || !have("umoci") {
        return;
    }
    let place = place(Mode::Auto);
    let store = &place.store;
    let mut chain = Chain::default();
    push(store, &mut chain, &base()).unwrap();
    let steps: [fn(&Path); 3] = [
        grow,
        |root| {
            fs::remove_dir_all(root.join("lib.d/sub")).unwrap();
            fs::create_dir(root.join("lib.d/sub")).unwrap();
            fs::write(root.join("lib.d/sub/new"), "n").unwrap();
            fs::remove_file(root.join("etc/passwd")).unwrap();
            fs::rename(root.join("set"), root.join("a/set2")).unwrap();
        },
        |root| {
            fs::remove_file(root.join("lib.d/a")).unwrap();
            fs::create_dir(root.join("lib.d/a")).unwrap();
            fs::remove_dir_all(root.join("a")).unwrap();
            fs::write(root.join("a"), "a file").unwrap();
        },
    ];
    for step in steps {
        let active = store.prepare(&chain, &[]).unwrap();
        step(&at(active.root()));
        chain.push(store.commit(active).unwrap().diff_id);
    }
    let layout = place.dir.path().join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8], kind: &str| {
        let digest = Digest::sha256_of(bytes);
        fs::write(blobs.join(digest.hex()), bytes).unwrap();
        serde_json::json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": bytes.len()})
    };
    let mut layers = Vec::new();
    for layer in chain.layers() {
        let mut tar = Vec::new();
        if store.layer_tar(layer, &mut tar).is_err() {
            tar = base();
        }
        layers.push(put(&tar, "layer.v1.tar"));
    }
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": chain}});
    let config = put(config.to_string().as_bytes(), "config.v1+json");
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers});
    let mut manifest = put(manifest.to_string().as_bytes(), "manifest.v1+json");
    manifest["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "t"});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let bundle = place.dir.path().join("bundle");
    run("umoci", &["unpack", "--image", &format!("{}:t", layout.display()), bundle.to_str().unwrap()]);
    let ours = listing(store.view(&chain).unwrap().root());
    assert_eq!(list(&bundle.join("rootfs")), ours);
}
