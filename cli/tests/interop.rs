//! Others read what Cooper pushes, and Cooper reads what others push: skopeo, crane, dockerd. oci-client is met in the
//! tests of registry-client.

#![allow(clippy::unwrap_used)]

use cooper_testkit::{Context, Dockerd, Output, Registry, can_build, program, skopeo, testdata, tool};
use serde_json::Value;

/// Pushes an image whose command prints `hello`; its digest.
fn pushed(context: &Context, name: &str, output: &str) -> String {
    let file =
        context.write("project/Dockerfile", "FROM busybox\nCOPY word /word\nCMD [\"cat\", \"/word\"]\n");
    context.write("project/word", "hello\n");
    let output = format!("{output},name={name}");
    context.build(["-o", &output, file.parent().unwrap().to_str().unwrap()]).expect_success();
    context.run(["digest", name]).expect_success().stdout.trim().to_owned()
}

const FORMS: [&str; 4] = [
    "type=registry",
    "type=registry,compression=zstd",
    "type=registry,compression=uncompressed",
    "type=registry,oci-mediatypes=false",
];

/// Cooper sees the image that the other side pushed: the digest given, and the word in it.
fn cooper_reads(name: &str, digest: &str) {
    let other = Context::new("reader");
    assert_eq!(other.run(["digest", name]).expect_success().stdout.trim(), digest);
    let tar = other.dir().join("out.tar");
    other.run(["export", "-q", "-o", tar.to_str().unwrap(), name]).expect_success();
    let word = Output::of(program("tar").arg("-xOf").arg(&tar).arg("word"));
    assert_eq!(word.expect_success().stdout, "hello\n");
}

#[test]
fn skopeo_takes_and_gives() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("skopeo");
    for (number, form) in FORMS.into_iter().enumerate() {
        let name = registry.image(&format!("app:{number}"));
        let digest = pushed(&context, &name, form);
        let Some(mut pull) = skopeo(context.dir()) else { return };
        let dir = format!("dir:{}", context.dir().join(number.to_string()).display());
        let words = ["copy", "-q", "--src-tls-verify=false", "--preserve-digests"];
        Output::of(pull.args(words).arg(format!("docker://{name}")).arg(&dir)).expect_success();
        let back = registry.image(&format!("back:{number}"));
        let Some(mut push) = skopeo(context.dir()) else { return };
        let words = ["copy", "-q", "--dest-tls-verify=false", "--preserve-digests", &dir];
        Output::of(push.args(words).arg(format!("docker://{back}"))).expect_success();
        cooper_reads(&back, &digest);
    }
}

#[test]
fn an_index_goes_to_skopeo_and_back() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("skopeo-index");
    let (name, back) = (registry.image("app:1"), registry.image("back:1"));
    let file =
        context.write("project/Dockerfile", "FROM scratch\nARG TARGETARCH\nLABEL a=$TARGETARCH\nCOPY . /\n");
    let project = file.parent().unwrap().to_str().unwrap();
    context.build(["--platform=linux/amd64,linux/arm64", "-t", &name, "--push", project]).expect_success();
    let Some(mut command) = skopeo(context.dir()) else { return };
    command.args(["copy", "-q", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    Output::of(command.arg(format!("docker://{name}")).arg(format!("docker://{back}"))).expect_success();
    let same = context.run(["diff", "-q", "--exit-code", "--platform=linux/arm64", &name, &back]);
    same.expect_success();
    assert_eq!(
        context.run(["digest", &name]).expect_success().stdout,
        context.run(["digest", &back]).expect_success().stdout
    );
}

#[test]
fn crane_takes_and_gives() {
    let Some(crane) = tool("crane") else { return };
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("crane");
    let crane = |words: &[&str]| {
        let mut command = program(&crane);
        command.env("HOME", context.dir()).env("DOCKER_CONFIG", context.dir());
        Output::of(command.args(words)).expect_success().stdout
    };
    for (number, form) in FORMS.into_iter().enumerate() {
        let (name, back) =
            (registry.image(&format!("app:{number}")), registry.image(&format!("back:{number}")));
        let digest = pushed(&context, &name, form);
        assert_eq!(crane(&["digest", &name]).trim(), digest);
        assert_eq!(crane(&["manifest", &name]), context.run(["manifest", &name]).expect_success().stdout);
        // It checks layers as gzip, whatever they are.
        if !form.contains("compression") {
            crane(&["validate", "--remote", &name]);
        }
        let tar = context.dir().join("crane.tar");
        crane(&["export", &name, tar.to_str().unwrap()]);
        let word = Output::of(program("tar").arg("-xOf").arg(&tar).arg("word"));
        assert_eq!(word.expect_success().stdout, "hello\n", "{form}");
        crane(&["copy", &name, &back]);
        cooper_reads(&back, &digest);
    }
}

#[test]
fn dockerd_takes_and_gives() {
    if !can_build() {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("dockerd");
    let Some(docker) = Dockerd::start(context.dir()) else { return };
    for (number, form) in FORMS.into_iter().enumerate() {
        let name = registry.image(&format!("app:{number}"));
        pushed(&context, &name, form);
        Output::of(&mut docker.command(["pull", "-q", &name])).expect_success();
        assert_eq!(docker.run(&name, &[]).expect_success().stdout, "hello\n", "{form}");
    }
    let back = registry.image("back:1");
    Output::of(&mut docker.command(["tag", &registry.image("app:0"), &back])).expect_success();
    Output::of(&mut docker.command(["push", "-q", &back])).expect_success();
    let digest = context.run(["digest", &back]).expect_success().stdout;
    cooper_reads(&back, digest.trim());
    let different = context.run(["diff", "-q", "--json", &registry.image("app:0"), &back]).expect_success();
    let different: Value = serde_json::from_str(&different.stdout).unwrap();
    assert_eq!(different["files"], serde_json::json!([]), "no file was lost on the way");
}

#[test]
fn images_that_others_made_are_shown_as_they_are() {
    let context = Context::new("foreign");
    let layout = format!("oci-layout://{}:latest", testdata("base").display());
    let config = context.run(["config", &layout]).expect_success();
    let config: Value = serde_json::from_str(&config.stdout).unwrap();
    assert_eq!(config["os"], "linux");
    let Some(registry) = Registry::start() else { return };
    let Some(mut command) = skopeo(context.dir()) else { return };
    let name = registry.image("base:v2s2");
    command.args(["copy", "-q", "--format=v2s2", "--dest-tls-verify=false"]);
    let source = format!("oci:{}:latest", testdata("base").display());
    Output::of(command.arg(source).arg(format!("docker://{name}"))).expect_success();
    let digest = context.run(["digest", "--json", &name]).expect_success();
    assert!(digest.stdout.contains("vnd.docker.distribution.manifest.v2+json"), "{digest}");
    let same = context.run(["diff", "-q", "--json", &layout, &name]).expect_success();
    let same: Value = serde_json::from_str(&same.stdout).unwrap();
    assert_eq!((&same["equal"], &same["files"]), (&Value::Bool(true), &serde_json::json!([])), "{same}");
}
