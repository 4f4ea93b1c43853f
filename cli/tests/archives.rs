//! Images in tar archives: `oci-archive:FILE` and `docker-archive:FILE`, which skopeo, podman and Docker read and write, too.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use cooper_oci::tar::{Budget, Entry, EntryKind, Reader, Writer};
use cooper_testkit::{Context, Dockerd, Output, Podman, Registry, skopeo, testdata};
use serde_json::Value;

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output}"))
}

fn run(context: &Context, words: &[&str]) -> String {
    context.run(words).expect_success().stdout
}

/// A name of an archive in the test's directory.
fn archive(context: &Context, form: &str, file: &str) -> String {
    format!("{form}-archive:{}", context.dir().join(file).display())
}

/// Runs skopeo; `None` without it.
fn by_skopeo(context: &Context, words: &[&str]) -> Option<Output> {
    Some(Output::of(skopeo(context.dir())?.args(words)).expect_success())
}

/// The digests that the layers of an image have.
fn layers(context: &Context, name: &str) -> Vec<(String, String)> {
    let manifest = json(&context.run(["manifest", name]).expect_success());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| (text(&l["mediaType"]), text(&l["digest"])))
        .collect()
}

fn left_behind(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".cooper-")).collect()
}

#[test]
fn all_platforms_go_through_an_archive_and_back() {
    let (Some(here), Some(there)) = (Registry::start(), Registry::start()) else { return };
    let context = Context::new("oci-archive");
    let source = here.image("team/app:1");
    context.push_two_platforms(&source);
    let digest = run(&context, &["digest", &source]);
    let all = archive(&context, "oci", "all.tar");
    let copied =
        json(&context.run(["copy", "--json", "-q", &source, &format!("{all}:one")]).expect_success());
    assert_eq!((&copied["digest"], &copied["manifests"]), (&digest.trim().into(), &3.into()));
    assert_eq!(copied["blobs"], serde_json::json!({"sent": 3, "mounted": 0, "existed": 0}));
    // However the image is named.
    for end in ["", ":one", ":@0", &format!("@{}", digest.trim())] {
        assert_eq!(run(&context, &["digest", &format!("{all}{end}")]), digest, "{end}");
    }
    let missing = context.run(["digest", &format!("{all}:two")]).expect_code(1);
    assert!(missing.stderr.contains("its tags are: one"), "{missing}");
    context.run(["digest", &format!("{all}:@1")]).expect_code(1);
    let config = context.run(["config", "--platform=linux/arm64", &all]).expect_success();
    assert_eq!(json(&config)["architecture"], "arm64");

    let back = there.image("back:1");
    run(&context, &["copy", "-q", &all, &back]);
    assert_eq!(run(&context, &["digest", &back]), digest);
    // From archive to archive, of one platform; what was there is replaced.
    let other = archive(&context, "oci", "other.tar");
    run(&context, &["copy", "-q", &all, &other]);
    run(&context, &["copy", "-q", "--platform=linux/arm64", &all, &format!("{other}:arm")]);
    let arm = run(&context, &["digest", "--platform=linux/arm64", &source]);
    assert_eq!(run(&context, &["digest", &other]), arm);
    // The same again gives the same bytes; so does standard output.
    run(&context, &["copy", "-q", &source, &format!("{}:one", archive(&context, "oci", "again.tar"))]);
    let bytes = |name: &str| std::fs::read(context.dir().join(name)).unwrap();
    assert!(bytes("all.tar") == bytes("again.tar"));
    let mut command = context.command(["copy", "-q", &all, "oci-archive:-:one"]);
    command.stdout(File::create(context.dir().join("stdout.tar")).unwrap());
    assert!(command.status().unwrap().success());
    assert!(bytes("all.tar") == bytes("stdout.tar"));
    assert_eq!(left_behind(context.dir()), [""; 0]);

    // skopeo reads it, and Cooper what skopeo writes.
    let target = format!("docker://{}", there.image("by-skopeo:1"));
    let flags =
        ["copy", "-q", "--all", "--preserve-digests", "--dest-tls-verify=false", "--src-tls-verify=false"];
    if by_skopeo(&context, &[&flags[..], &[&format!("{all}:one"), &target]].concat()).is_none() {
        return;
    }
    assert_eq!(run(&context, &["digest", &there.image("by-skopeo:1")]), digest);
    let theirs = archive(&context, "oci", "theirs.tar");
    let named = format!("{theirs}:docker.io/library/app:1");
    by_skopeo(&context, &[&flags[..], &[&format!("docker://{source}"), &named]].concat());
    for end in ["", ":docker.io/library/app:1", ":app:1"] {
        assert_eq!(run(&context, &["digest", &format!("{theirs}{end}")]), digest, "{end}");
    }
    run(&context, &["copy", "-q", &theirs, &there.image("theirs:1")]);
    assert_eq!(run(&context, &["digest", &there.image("theirs:1")]), digest);
}

#[test]
fn what_refers_to_an_image_lies_in_its_archive() {
    let (Some(here), Some(there)) = (Registry::start(), Registry::start()) else { return };
    let context = Context::new("archive-referrers");
    let (source, target) = (here.image("app:1"), there.image("copy:1"));
    context.build_text("FROM scratch\nCOPY Dockerfile /file\n", &["-t", &source, "--push"]);
    let file = context.write("sbom.json", "{\"spdx\":1}");
    let words = ["artifact", "push", "-q", "--subject", &source, "--artifact-type=application/spdx+json"];
    let mut command = context.command(words);
    let sbom = Output::of(command.arg(here.image("app")).arg(file)).expect_success().stdout.trim().to_owned();
    let with = archive(&context, "oci", "with.tar");
    run(&context, &["copy", "-q", "--referrers", &source, &with]);
    assert_eq!(run(&context, &["digest", &with]), run(&context, &["digest", &source]));
    run(&context, &["copy", "-q", "--referrers", &with, &target]);
    assert!(run(&context, &["referrers", &target]).contains(&sbom));
    // Docker cannot load what is no image.
    let artifact = format!("{}@{sbom}", here.image("app"));
    let refused =
        context.run(["copy", "-q", &artifact, &archive(&context, "docker", "x.tar")]).expect_code(1);
    assert!(refused.stderr.contains("no image that Docker can load"), "{refused}");
    assert!(!context.dir().join("x.tar").exists());
}

/// Copies the base image to a registry; the ID of its layer.
fn base_image(context: &Context, name: &str) -> String {
    let base = format!("oci-layout://{}:latest", testdata("base").display());
    run(context, &["copy", "-q", &base, name]);
    let config = context.run(["config", &base]).expect_success();
    json(&config)["rootfs"]["diff_ids"][0].as_str().unwrap().to_owned()
}

#[test]
fn docker_loads_and_saves_the_same_archives() {
    let Some(here) = Registry::start() else { return };
    let context = Context::new("docker-archive");
    let Some(docker) = Dockerd::start(context.dir()) else { return };
    let source = here.image("base:1");
    let diff_id = base_image(&context, &source);
    // Loaded from a file and from a pipe, with and without a tag.
    let ours = archive(&context, "docker", "ours.tar");
    run(&context, &["copy", "-q", &source, &format!("{ours}:base:1")]);
    let loaded =
        Output::of(docker.command(["load", "-i"]).arg(context.dir().join("ours.tar"))).expect_success();
    assert_eq!(loaded.stdout.trim(), "Loaded image: base:1");
    let mut copy = context.command(["copy", "-q", &source, "docker-archive:-:untagged"]);
    let mut copy = copy.stdout(Stdio::piped()).spawn().unwrap();
    let load = docker.command(["load"]).stdin(copy.stdout.take().unwrap()).output().unwrap();
    assert!(copy.wait().unwrap().success() && load.status.success(), "{load:?}");
    assert_eq!(String::from_utf8(load.stdout).unwrap().trim(), "Loaded image: untagged:latest");
    let printed = docker.run("base:1", &["echo", "works"]).expect_success().stdout;
    assert_eq!(printed, "works\n");

    // Saved: several images in one archive, one layer in all.
    let file = context.dir().join("saved.tar");
    let container =
        Output::of(&mut docker.command(["create", "--network=none", "base:1", "sh"])).expect_success();
    Output::of(&mut docker.command(["commit", container.stdout.trim(), "other:2"])).expect_success();
    Output::of(docker.command(["save", "base:1", "other:2", "-o"]).arg(&file)).expect_success();
    let saved = archive(&context, "docker", "saved.tar");
    let refused = context.run(["digest", &saved]).expect_code(1);
    assert!(refused.stderr.contains("base:1") && refused.stderr.contains("other:2"), "{refused}");
    let one = format!("{saved}:docker.io/library/base:1");
    assert_eq!(layers(&context, &one), [("application/vnd.oci.image.layer.v1.tar".to_owned(), diff_id)]);
    let id = |image: &str| {
        let words = ["image", "inspect", "--format", "{{.Id}}", image];
        Output::of(&mut docker.command(words)).expect_success().stdout.trim().to_owned()
    };
    for image in ["base:1", "other:2"] {
        let manifest = json(&context.run(["manifest", &format!("{saved}:{image}")]).expect_success());
        assert_eq!(manifest["config"]["digest"], id(image).as_str());
        // In a registry its layers are compressed, and it is the same image.
        let target = here.image(&format!("saved/{image}"));
        run(&context, &["copy", "-q", &format!("{saved}:{image}"), &target]);
        let manifest = json(&context.run(["manifest", &target]).expect_success());
        assert_eq!(manifest["config"]["digest"], id(image).as_str());
        assert!(layers(&context, &target).iter().all(|(kind, _)| kind.ends_with("tar+gzip")));
        let same = ["diff", "--exit-code", "-q", &source, &target];
        assert!(image != "base:1" || context.run(same).success());
    }
    // Out of a pipe, compressed.
    let mut save = docker.command(["save", "base:1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut gzip = cooper_testkit::program("gzip");
    let mut gzip = gzip.stdin(save.stdout.take().unwrap()).stdout(Stdio::piped()).spawn().unwrap();
    let mut copy = context.command(["copy", "-q", "docker-archive:-", &here.image("piped:1")]);
    let copied = copy.stdin(gzip.stdout.take().unwrap()).status().unwrap();
    assert!(copied.success() && gzip.wait().unwrap().success() && save.wait().unwrap().success());
    assert_eq!(layers(&context, &here.image("piped:1")), layers(&context, &here.image("saved/base:1")));
    assert_eq!(left_behind(context.dir()), [""; 0]);
}

#[test]
fn skopeo_reads_and_writes_archives_for_docker() {
    let Some(here) = Registry::start() else { return };
    let context = Context::new("docker-archive-skopeo");
    let source = here.image("app:1");
    context.push_two_platforms(&source);
    // One platform goes in, by default this machine's.
    let (ours, arm) = (archive(&context, "docker", "ours.tar"), archive(&context, "docker", "arm.tar"));
    run(&context, &["copy", "-q", &source, &format!("{ours}:app:1")]);
    run(&context, &["copy", "-q", "--platform=linux/arm64", &source, &arm]);
    assert_eq!(json(&context.run(["config", &arm]).expect_success())["architecture"], "arm64");
    let config = run(&context, &["config", &source]);
    assert_eq!(run(&context, &["config", &format!("{ours}:docker.io/library/app:1")]), config);
    // It is an OCI archive as well, with the digests of the registry.
    let digest = run(&context, &["digest", "--platform=linux/amd64", &source]);
    if cfg!(target_arch = "x86_64") {
        assert_eq!(run(&context, &["digest", &archive(&context, "oci", "ours.tar")]), digest);
    }
    let flags = ["copy", "-q", "--dest-tls-verify=false", "--src-tls-verify=false"];
    let target = format!("docker://{}", here.image("by-skopeo:1"));
    if by_skopeo(&context, &[&flags[..], &[&format!("{ours}:app:1"), &target]].concat()).is_none() {
        return;
    }
    assert_eq!(run(&context, &["config", &here.image("by-skopeo:1")]), config);
    let theirs = archive(&context, "docker", "theirs.tar");
    by_skopeo(&context, &[&flags[..], &[&format!("docker://{source}"), &format!("{theirs}:app:1")]].concat());
    assert_eq!(run(&context, &["config", &theirs]), config);
    context.run(["diff", "--exit-code", "-q", &source, &theirs]).expect_success();
    run(&context, &["copy", "-q", &theirs, &here.image("theirs:1")]);
    context.run(["diff", "--exit-code", "-q", &source, &here.image("theirs:1")]).expect_success();
    // What the one form is not, the other may be.
    let other = context.run(["digest", &archive(&context, "oci", "theirs.tar")]).expect_code(1);
    assert!(other.stderr.contains("docker-archive:"), "{other}");
    let file = context.dir().join("files.tar");
    context.run(["export", "-q", &theirs, "-o", file.to_str().unwrap()]).expect_success();
    let listed = Output::of(cooper_testkit::program("tar").arg("-tf").arg(file)).expect_success().stdout;
    assert_eq!(listed.trim_start_matches("./").trim(), "file");
}

#[test]
fn podman_saves_what_cooper_reads() {
    let Some(here) = Registry::start() else { return };
    let context = Context::new("archive-podman");
    let Some(podman) = Podman::new(context.dir()) else { return };
    let source = here.image("base:1");
    base_image(&context, &source);
    let ours = archive(&context, "docker", "ours.tar");
    run(&context, &["copy", "-q", &source, &format!("{ours}:base:1")]);
    Output::of(podman.command(["load", "-q", "-i"]).arg(context.dir().join("ours.tar"))).expect_success();
    for form in ["oci", "docker"] {
        let (format, file) = (format!("{form}-archive"), context.dir().join(form));
        let mut save = podman.command(["save", "-q", "--format", &format, "-o"]);
        Output::of(save.arg(&file).arg("docker.io/library/base:1")).expect_success();
        for end in ["", ":base:1"] {
            let name = format!("{}{end}", archive(&context, form, form));
            context.run(["diff", "--exit-code", "-q", &source, &name]).expect_success();
        }
    }
}

/// What stands under a name in an archive.
#[derive(Clone)]
enum Content {
    Bytes(Vec<u8>),
    Symlink(String),
    HardLink(String),
}

type Members = Vec<(String, Content)>;

/// Writes members as a tar.
fn pack(path: &Path, members: &Members) {
    let mut tar = Writer::new(Vec::new());
    for (name, content) in members {
        let (kind, link, data) = match content {
            Content::Bytes(bytes) => (EntryKind::File, "", bytes.as_slice()),
            Content::Symlink(target) => (EntryKind::Symlink, target.as_str(), &b""[..]),
            Content::HardLink(target) => (EntryKind::HardLink, target.as_str(), &b""[..]),
        };
        let (path, link, size) = (name.clone().into_bytes(), link.as_bytes().to_vec(), data.len() as u64);
        let entry = Entry { path, kind, link, size, mode: 0o644, ..Entry::default() };
        tar.append_with(&entry, &mut { data }).unwrap();
    }
    std::fs::write(path, tar.finish().unwrap()).unwrap();
}

/// The files of an archive that Cooper wrote.
fn unpack(path: &Path) -> Members {
    let mut tar = Reader::new(File::open(path).unwrap(), Budget::layer());
    let mut members = Vec::new();
    while let Some(entry) = tar.next().unwrap() {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut tar, &mut bytes).unwrap();
        if entry.kind == EntryKind::File {
            members.push((String::from_utf8(entry.path).unwrap(), Content::Bytes(bytes)));
        }
    }
    members
}

/// Changes the bytes of a member.
fn edit(members: &mut Members, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let (_, content) = members.iter_mut().find(|(at, _)| at == name).unwrap();
    let Content::Bytes(bytes) = content else { panic!("{name} is a link") };
    change(bytes);
}

/// Puts other members in the place of one.
fn replace(members: &mut Members, name: &str, others: &[(&str, Content)]) {
    let at = members.iter().position(|(at, _)| at == name).unwrap();
    members.splice(at..=at, others.iter().map(|(name, content)| ((*name).to_owned(), content.clone())));
}

/// An image with two layers as both kinds of archive at once; the names of its layer, config and manifest there.
fn healthy(context: &Context, source: &str) -> (Members, [String; 3]) {
    let dockerfile = "FROM scratch\nCOPY Dockerfile /file\nENV A=b\n";
    context.build_text(dockerfile, &["-t", source, "--push"]);
    run(context, &["copy", "-q", source, &format!("{}:app:1", archive(context, "docker", "whole.tar"))]);
    let members = unpack(&context.dir().join("whole.tar"));
    let names = [0, 1, 2].map(|at: usize| members[at].0.clone());
    assert!(names.iter().all(|name| name.starts_with("blobs/sha256/")), "{names:?}");
    (members, names)
}

#[test]
fn damage_in_archives_does_not_travel() {
    let (Some(here), Some(there)) = (Registry::start(), Registry::start()) else { return };
    let context = Context::new("archive-damage");
    let (members, [layer, config, manifest]) = healthy(&context, &here.image("app:1"));
    // What a repository has is not asked for again.
    let repositories = std::cell::Cell::new(0);
    let fresh = || there.image(&format!("x{}:1", repositories.replace(repositories.get() + 1)));
    let out = context.dir().join("out");
    std::fs::create_dir(&out).unwrap();
    let refused = |form: &str, members: &Members, why: &str| {
        pack(&context.dir().join("bad.tar"), members);
        let bad = archive(&context, form, "bad.tar");
        let target = fresh();
        for to in [&target, &format!("oci-archive:{}", out.join("x.tar").display())] {
            let refused = context.run(["copy", "-q", &bad, to]).expect_code(1);
            assert!(refused.stderr.contains(why) && refused.stderr.contains("bad.tar"), "{why}: {refused}");
        }
        context.run(["digest", &target]).expect_code(4);
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0, "{why}");
    };
    let text = |text: &str| Content::Bytes(text.as_bytes().to_vec());
    for form in ["oci", "docker"] {
        for name in [&layer, &config] {
            let mut flipped = members.clone();
            edit(&mut flipped, name, |bytes| bytes[20] ^= 1);
            refused(form, &flipped, "damaged");
            let mut missing = members.clone();
            replace(&mut missing, name, &[]);
            refused(form, &missing, "missing");
            for (link, why) in
                [("../../../etc/passwd", "leads out"), ("/etc/passwd", "leads out"), ("x", "missing")]
            {
                let mut linked = members.clone();
                replace(&mut linked, name, &[(name, Content::Symlink(link.to_owned()))]);
                refused(form, &linked, why);
            }
            let mut around = members.clone();
            replace(&mut around, name, &[(name, Content::HardLink(name.clone()))]);
            refused(form, &around, "does not end");
        }
        let mut twice = members.clone();
        twice.push((format!("./{layer}"), text("other")));
        refused(form, &twice, "two members");
        let mut outside = members.clone();
        outside.push(("blobs/../../x".to_owned(), text("x")));
        refused(form, &outside, "outside");
        let list = if form == "oci" { "index.json" } else { "manifest.json" };
        let mut malformed = members.clone();
        replace(&mut malformed, list, &[(list, text("{\"manifests\":7"))]);
        refused(form, &malformed, "malformed");
        let mut none = members.clone();
        replace(&mut none, list, &[]);
        refused(form, &none, list);
    }
    // Sizes that are not those of the descriptors.
    let mut longer = members.clone();
    edit(&mut longer, &layer, |bytes| bytes.push(0));
    refused("oci", &longer, "damaged");
    // An index that says it is its own entry.
    let mut itself = members.clone();
    edit(&mut itself, "index.json", |bytes| {
        let mut index: Value = serde_json::from_slice(bytes).unwrap();
        index["manifests"][0]["mediaType"] = "application/vnd.oci.image.index.v1+json".into();
        *bytes = index.to_string().into_bytes();
    });
    let own = itself.iter().find(|(name, _)| name == "index.json").unwrap().1.clone();
    replace(&mut itself, &manifest, &[(&manifest, own)]);
    refused("oci", &itself, "another content");
    // Names that lead elsewhere.
    let mut elsewhere = members.clone();
    edit(&mut elsewhere, "manifest.json", |bytes| {
        let mut list: Value = serde_json::from_slice(bytes).unwrap();
        list[0]["Layers"][0] = "../../etc/passwd".into();
        *bytes = list.to_string().into_bytes();
    });
    refused("docker", &elsewhere, "no name of a member");
    // A file that ends too early.
    pack(&context.dir().join("bad.tar"), &members);
    let bad = File::options().write(true).open(context.dir().join("bad.tar")).unwrap();
    // Two zero blocks, and most of the last member's one.
    bad.set_len(bad.metadata().unwrap().len() - 1024 - 500).unwrap();
    let cut = context.run(["copy", "-q", &archive(&context, "oci", "bad.tar"), &fresh()]).expect_code(1);
    assert!(cut.stderr.contains("ends within"), "{cut}");

    // Links within the archive are no damage.
    for content in [Content::Symlink("../../real".to_owned()), Content::HardLink("real".to_owned())] {
        let mut linked = members.clone();
        let (_, real) = linked.iter().find(|(name, _)| *name == layer).unwrap().clone();
        replace(&mut linked, &layer, &[("real", real), (&layer, content)]);
        pack(&context.dir().join("linked.tar"), &linked);
        for form in ["oci", "docker"] {
            let target = fresh();
            run(&context, &["copy", "-q", &archive(&context, form, "linked.tar"), &target]);
            assert_eq!(layers(&context, &target), layers(&context, &here.image("app:1")), "{form}");
        }
    }
}

#[test]
fn a_broken_copy_leaves_the_old_archive() {
    let Some(here) = Registry::start() else { return };
    let context = Context::new("archive-old");
    let (members, [layer, ..]) = healthy(&context, &here.image("app:1"));
    let old = std::fs::read(context.dir().join("whole.tar")).unwrap();
    let mut flipped = members;
    edit(&mut flipped, &layer, |bytes| bytes[20] ^= 1);
    pack(&context.dir().join("bad.tar"), &flipped);
    let whole = archive(&context, "docker", "whole.tar");
    context.run(["copy", "-q", &archive(&context, "oci", "bad.tar"), &whole]).expect_code(1);
    here.lose(layer.rsplit('/').next().unwrap());
    let lost = context.run(["copy", "-q", &here.image("app:1"), &whole]);
    assert!(!lost.success(), "{lost}");
    assert!(std::fs::read(context.dir().join("whole.tar")).unwrap() == old);
    assert_eq!(left_behind(context.dir()), [""; 0]);
    // Where nothing can be written, that is told.
    let nowhere = format!("oci-archive:{}/none/x.tar", context.dir().display());
    let refused = context.run(["copy", "-q", &here.image("app:1"), &nowhere]).expect_code(78);
    assert!(refused.stderr.contains("none/x.tar"), "{refused}");
    context.run(["copy", "-q", &whole, &archive(&context, "oci", "y.tar:@0")]).expect_code(1);
    let text = context.write("text.tar", "text");
    let name = format!("oci-archive:{}", text.display());
    assert!(context.run(["digest", &name]).expect_code(1).stderr.contains("no tar archive"));
}
