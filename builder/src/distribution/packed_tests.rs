#![allow(clippy::unwrap_used)]

use std::os::unix::fs::symlink;

use super::*;

fn tree(dir: &Path) {
    fs::create_dir_all(dir.join("sub/deep")).unwrap();
    fs::write(dir.join("b"), "b").unwrap();
    fs::write(dir.join("a.sh"), "#!").unwrap();
    fs::set_permissions(dir.join("a.sh"), Permissions::from_mode(0o750)).unwrap();
    fs::write(dir.join("sub/deep/c"), vec![7; 100_000]).unwrap();
    symlink("../b", dir.join("sub/link")).unwrap();
    symlink("deep", dir.join("sub/dirlink")).unwrap();
}

#[test]
fn a_directory_comes_back_and_its_digest_depends_on_its_content_alone() {
    let temp = tempfile::tempdir().unwrap();
    let (one, two) = (temp.path().join("one"), temp.path().join("two"));
    tree(&one);
    tree(&two);
    fs::set_permissions(two.join("b"), Permissions::from_mode(0o600)).unwrap();
    File::open(two.join("b")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let packed = pack(&one, "docs/site", "x/y").unwrap();
    assert_eq!(packed.layer, pack(&two, "docs/site", "x/y").unwrap().layer);
    assert!(is_packed(&packed.layer));
    let out = temp.path().join("out");
    fs::create_dir_all(out.join("docs/site/kept")).unwrap();
    fs::write(out.join("docs/site/b"), "old").unwrap();
    unpack(packed.file.as_file(), &packed.layer, Path::new("docs/site"), &out).unwrap();
    assert_eq!(fs::read_to_string(out.join("docs/site/b")).unwrap(), "b");
    assert_eq!(fs::read(out.join("docs/site/sub/dirlink/c")).unwrap().len(), 100_000);
    assert_eq!(fs::read_link(out.join("docs/site/sub/link")).unwrap(), Path::new("../b"));
    assert!(out.join("docs/site/kept").is_dir());
    let mode = |name: &str| fs::metadata(out.join("docs/site").join(name)).unwrap().permissions().mode();
    assert_eq!((mode("a.sh") & 0o7777, mode("b") & 0o7777), (0o755, 0o644));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1, "nothing is left over");
}

/// A layer of these members, each with a link's target or none.
fn layer(members: &[(&str, EntryKind, &str)]) -> (tempfile::NamedTempFile, Descriptor) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut tar = Writer::new(file.as_file());
    for (path, kind, link) in members {
        let entry = Entry {
            path: path.as_bytes().to_vec(),
            kind: *kind,
            mode: 0o6755,
            link: link.as_bytes().to_vec(),
            ..Entry::default()
        };
        tar.append(&entry).unwrap();
    }
    tar.finish().unwrap();
    (file, Descriptor::of("x/y", b""))
}

#[test]
fn nothing_is_written_outside() {
    use EntryKind::{CharDevice, Dir, Fifo, File, HardLink, Symlink};
    let bad: [&[(&str, EntryKind, &str)]; 14] = [
        &[("other", File, "")],
        &[("../up", File, "")],
        &[("/etc/up", File, "")],
        &[("d/../../up", File, "")],
        &[("d/../e", File, "")],
        &[("d", Symlink, "/etc")],
        &[("d/x", Symlink, "/etc/passwd")],
        &[("d/x", Symlink, "../up")],
        &[("d/s/x", Symlink, "../../up")],
        &[("d/dot", Symlink, "."), ("d/x", Symlink, "dot/..")],
        &[("d/x", Symlink, "s"), ("d/x/../../up", File, "")],
        &[("d/x", HardLink, "/etc/passwd")],
        &[("d/x", CharDevice, "")],
        &[("d/x", Fifo, "")],
    ];
    for members in bad {
        let temp = tempfile::tempdir().unwrap();
        let out = temp.path().join("out");
        fs::create_dir(&out).unwrap();
        let (file, descriptor) = layer(members);
        unpack(file.as_file(), &descriptor, Path::new("d"), &out).unwrap_err();
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "{members:?}");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "{members:?}");
    }
    // Links that stay inside, hard ones too; special rights do not arrive.
    let temp = tempfile::tempdir().unwrap();
    let good: &[(&str, EntryKind, &str)] = &[
        ("d", Dir, ""),
        ("./d/a", File, ""),
        ("d/s/up", Symlink, "../a"),
        ("d/h", HardLink, "d/a"),
        ("d/x", Symlink, "./s"),
    ];
    let (file, descriptor) = layer(good);
    unpack(file.as_file(), &descriptor, Path::new("d"), temp.path()).unwrap();
    let mode = fs::metadata(temp.path().join("d/x/up")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    assert!(temp.path().join("d/h").is_file());
    // A tar that is not the one that was named.
    let (file, mut descriptor) = layer(good);
    descriptor.annotations.insert(CONTENT.into(), cooper_oci::Digest::sha256_of(b"").to_string());
    let error = unpack(file.as_file(), &descriptor, Path::new("d"), temp.path()).unwrap_err();
    assert!(error.to_string().contains("its tar is"), "{error}");
}

#[test]
fn what_cannot_be_unpacked_is_not_packed() {
    let temp = tempfile::tempdir().unwrap();
    for (name, target) in [("absolute", "/etc"), ("up", ".."), ("out", "sub/../../x")] {
        let dir = temp.path().join(name);
        fs::create_dir(&dir).unwrap();
        symlink(target, dir.join("link")).unwrap();
        let error = pack(&dir, name, "x/y").err().unwrap();
        assert!(error.to_string().contains("leads out"), "{error}");
    }
}

#[test]
fn no_link_is_followed_on_the_way_to_a_file() {
    let temp = tempfile::tempdir().unwrap();
    let (out, elsewhere) = (temp.path().join("out"), temp.path().join("elsewhere"));
    fs::create_dir_all(&elsewhere).unwrap();
    assert_eq!(directories(&out, Path::new("a/b")).unwrap(), out.join("a/b"));
    symlink(&elsewhere, out.join("link")).unwrap();
    directories(&out, Path::new("link/deep")).unwrap_err();
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}
