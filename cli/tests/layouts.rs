//! `cooper copy` to and from OCI layouts; skopeo reads and writes the same directories.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use cooper_testkit::{Context, Output, Registry, skopeo, testdata};
use serde_json::Value;

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output}"))
}

fn run(context: &Context, words: &[&str]) -> String {
    context.run(words).expect_success().stdout
}

fn layout(context: &Context, name: &str) -> String {
    format!("oci-layout://{}", context.dir().join(name).display())
}

fn blobs(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("blobs/sha256")).unwrap().count()
}

#[test]
fn an_image_goes_through_a_directory_and_back() {
    let (Some(here), Some(there)) = (Registry::start(), Registry::start()) else { return };
    let context = Context::new("layout");
    let source = here.image("team/app:1");
    context.push_two_platforms(&source);
    let digest = run(&context, &["digest", &source]);
    let all = format!("{}:one", layout(&context, "all"));
    let copied = json(&context.run(["copy", "--json", "-q", &source, &all]).expect_success());
    assert_eq!((&copied["digest"], &copied["manifests"]), (&digest.trim().into(), &3.into()));
    assert_eq!(copied["blobs"], serde_json::json!({"sent": 3, "mounted": 0, "existed": 0}));
    assert_eq!(run(&context, &["digest", &all]), digest);
    let dir = context.dir().join("all");
    assert_eq!(blobs(&dir), 6, "an index, two manifests, two configs, one layer; nothing else");
    // What is there is not fetched again; another tag does not take the place of the first.
    let again = format!("{}:two", layout(&context, "all"));
    let copied = json(&context.run(["copy", "--json", "-q", &source, &again]).expect_success());
    assert_eq!(copied["blobs"], serde_json::json!({"sent": 0, "mounted": 0, "existed": 3}));
    assert_eq!(run(&context, &["digest", &all]), digest);
    // Back, to another registry, and on to another directory.
    let back = there.image("back:1");
    run(&context, &["copy", "-q", &all, &back]);
    assert_eq!(run(&context, &["digest", &back]), digest);
    let config = context.run(["config", "--platform=linux/arm64", &back]).expect_success();
    assert_eq!(json(&config)["architecture"], "arm64");
    let other = layout(&context, "other");
    run(&context, &["copy", "-q", &again, &other]);
    assert_eq!(run(&context, &["digest", &other]), digest);
    let Some(mut command) = skopeo(context.dir()) else { return };
    let raw = ["inspect", "--raw", &format!("oci:{}:latest", context.dir().join("other").display())];
    let raw = Output::of(command.args(raw)).expect_success().stdout;
    assert_eq!(raw, run(&context, &["manifest", &source]));
}

#[test]
fn one_platform_is_one_image_in_a_directory() {
    let (Some(here), Some(there)) = (Registry::start(), Registry::start()) else { return };
    let context = Context::new("layout-platform");
    let source = here.image("app:1");
    context.push_two_platforms(&source);
    let arm = layout(&context, "arm");
    run(&context, &["copy", "-q", "--platform=linux/arm64", &source, &arm]);
    let want = run(&context, &["digest", "--platform=linux/arm64", &source]);
    assert_eq!(run(&context, &["digest", &arm]), want);
    assert_eq!(blobs(&context.dir().join("arm")), 3);
    let all = layout(&context, "all");
    run(&context, &["copy", "-q", &source, &all]);
    run(&context, &["copy", "-q", "--platform=linux/arm64", &all, &there.image("arm:1")]);
    assert_eq!(run(&context, &["digest", &there.image("arm:1")]), want);
    let missing = context.run(["copy", "-q", "--platform=linux/s390x", &all, &there.image("x:1")]);
    assert!(missing.expect_code(1).stderr.contains("linux/amd64, linux/arm64"));
    context.run(["copy", "-q", &format!("{all}:none"), &there.image("x:1")]).expect_code(1);
    context.run(["copy", "-q", "store://app:1", &all]).expect_code(2);
    // What is no layout is not written to.
    context.write("full/file", "x");
    context.run(["copy", "-q", &source, &layout(&context, "full")]).expect_code(1);
    assert_eq!(std::fs::read_dir(context.dir().join("full")).unwrap().count(), 1);
}

#[test]
fn skopeo_reads_and_writes_the_same_directories() {
    let (Some(here), Some(there)) = (Registry::start(), Registry::start()) else { return };
    let context = Context::new("layout-skopeo");
    let source = here.image("app:1");
    context.push_two_platforms(&source);
    let digest = run(&context, &["digest", &source]);
    // Written by Cooper, read by skopeo.
    let ours = context.dir().join("ours");
    run(&context, &["copy", "-q", &source, &format!("{}:v1", layout(&context, "ours"))]);
    let Some(mut command) = skopeo(context.dir()) else { return };
    command.args(["copy", "-q", "--all", "--preserve-digests", "--dest-tls-verify=false"]);
    let target = there.image("by-skopeo:1");
    let from = format!("oci:{}:v1", ours.display());
    Output::of(command.arg(from).arg(format!("docker://{target}"))).expect_success();
    assert_eq!(run(&context, &["digest", &target]), digest);
    // Written by skopeo into the same directory, and into a new one, read by Cooper.
    for dir in ["ours", "theirs"] {
        let Some(mut command) = skopeo(context.dir()) else { return };
        command.args(["copy", "-q", "--all", "--preserve-digests", "--src-tls-verify=false"]);
        let to = format!("oci:{}:v2", context.dir().join(dir).display());
        Output::of(command.arg(format!("docker://{source}")).arg(to)).expect_success();
        let name = there.image(&format!("{dir}:1"));
        run(&context, &["copy", "-q", &format!("{}:v2", layout(&context, dir)), &name]);
        assert_eq!(run(&context, &["digest", &name]), digest);
    }
    assert_eq!(run(&context, &["digest", &format!("{}:v1", layout(&context, "ours"))]), digest);
    // The image of another tool.
    let base = format!("oci-layout://{}:latest", testdata("base").display());
    run(&context, &["copy", "-q", &base, &there.image("base:1")]);
    assert_eq!(run(&context, &["digest", &there.image("base:1")]), run(&context, &["digest", &base]));
}

#[test]
fn what_refers_to_an_image_lies_beside_it() {
    let (Some(here), Some(there)) = (Registry::start(), Registry::start()) else { return };
    let context = Context::new("layout-referrers");
    let (source, target) = (here.image("app:1"), there.image("copy:1"));
    context.push_two_platforms(&source);
    let sbom = context.write("sbom.json", "{\"spdx\":1}");
    let words = ["artifact", "push", "-q", "--subject", &source, "--artifact-type=application/spdx+json"];
    let mut command = context.command(words);
    let sbom = Output::of(command.arg(here.image("app")).arg(sbom)).expect_success().stdout.trim().to_owned();
    let (with, without) = (layout(&context, "with"), layout(&context, "without"));
    run(&context, &["copy", "-q", &source, &without]);
    run(&context, &["copy", "-q", "--referrers", &source, &with]);
    assert_eq!(blobs(&context.dir().join("with")), blobs(&context.dir().join("without")) + 3);
    let index = std::fs::read_to_string(context.dir().join("with/index.json")).unwrap();
    assert!(index.contains(&sbom) && index.contains("application/spdx+json"), "{index}");
    run(&context, &["copy", "-q", "--referrers", &with, &target]);
    let list = run(&context, &["referrers", &target]);
    assert!(list.contains(&sbom), "{list}");
}

#[test]
fn damage_does_not_travel() {
    let (Some(here), Some(there)) = (Registry::start(), Registry::start()) else { return };
    let context = Context::new("layout-damage");
    let source = here.image("app:1");
    context.build_text("FROM scratch\nCOPY Dockerfile /file\n", &["-t", &source, "--push"]);
    let name = layout(&context, "dir");
    run(&context, &["copy", "-q", &source, &name]);
    let manifest = json(&context.run(["manifest", &source]).expect_success());
    let digest = manifest["layers"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let blob = context.dir().join("dir/blobs/sha256").join(digest);
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&blob, &bytes).unwrap();
    for target in [there.image("x:1"), layout(&context, "other")] {
        let refused = context.run(["copy", "-q", &name, &target]).expect_code(1);
        assert!(refused.stderr.contains("damaged"), "{refused}");
    }
    context.run(["digest", &there.image("x:1")]).expect_code(4);
    // A copy over it mends it.
    run(&context, &["copy", "-q", &source, &name]);
    run(&context, &["copy", "-q", &name, &there.image("x:1")]);
    // One that is missing is named.
    std::fs::remove_file(&blob).unwrap();
    let refused = context.run(["copy", "-q", &name, &there.image("y:1")]).expect_code(1);
    assert!(refused.stderr.contains(blob.to_str().unwrap()), "{refused}");
}
