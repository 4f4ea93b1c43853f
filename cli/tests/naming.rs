//! How outputs name what they push, and how registries are spoken to.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::Stdio;

use cooper_testkit::{Context, Output, PASSWORD, Registry, USER};
use serde_json::Value;

fn project(context: &Context) -> String {
    let dockerfile = "FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY Dockerfile /file\n";
    let file = context.write("project/Dockerfile", dockerfile);
    file.parent().unwrap().to_str().unwrap().to_owned()
}

fn metadata(context: &Context, words: &[&str]) -> Value {
    let file = context.dir().join("metadata");
    let flag = format!("--metadata-file={}", file.display());
    context.build([words, &[&flag, &project(context)]].concat()).expect_success();
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output}"))
}

/// The way of pipelines with a runner for each platform: pushed by digest, put together at the end.
#[test]
fn images_pushed_by_digest_become_an_index() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("by-digest");
    let name = registry.image("app");
    let output = format!("type=image,name={name},push-by-digest=true,name-canonical=true,push=true");
    let mut sources = Vec::new();
    for arch in ["amd64", "arm64"] {
        let platform = format!("--platform=linux/{arch}");
        let told = metadata(&context, &["-o", &output, &platform]);
        let digest = told["containerimage.digest"].as_str().unwrap();
        assert_eq!(told["image.name"], format!("{name}@{digest}"));
        let config = context.run(["config", &platform, &format!("{name}@{digest}")]).expect_success();
        assert_eq!(json(&config)["config"]["Labels"]["arch"], arch);
        sources.push(format!("{name}@{digest}"));
    }
    context.run(["ls", &name]).expect_code(4);
    let target = registry.image("app:1");
    context.run(["index", "create", "-q", "-t", &target, &sources[1], &sources[0]]).expect_success();
    let index = json(&context.run(["manifest", &target]).expect_success());
    let digests: Vec<String> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| format!("{name}@{}", m["digest"].as_str().unwrap()))
        .collect();
    assert_eq!(digests, sources);
    assert_eq!(context.run(["ls", &name]).expect_success().stdout, "1\n");
    // An index goes by digest, too.
    let told = metadata(&context, &["-o", &output, "--platform=linux/amd64,linux/arm64"]);
    assert_eq!(
        told["containerimage.digest"],
        context.run(["digest", &target]).expect_success().stdout.trim()
    );
    assert_eq!(context.run(["ls", &name]).expect_success().stdout, "1\n");
    let tagged = format!("type=registry,name={target},push-by-digest=true");
    let refused = context.build(["-o", &tagged, &project(&context)]).expect_code(1);
    assert!(refused.stderr.contains("can't push tagged ref"), "{refused}");
    let archive = context.build(["-o", "type=oci,dest=x,push-by-digest=true", &project(&context)]);
    assert!(archive.expect_code(1).stderr.contains("push-by-digest is not supported for this type"));
}

#[test]
fn the_store_knows_canonical_names() {
    let context = Context::new("canonical");
    let told = metadata(&context, &["-t", "demo:1", "-o", "type=image,name-canonical=true"]);
    let digest = told["containerimage.digest"].as_str().unwrap();
    let kept = context.run(["digest", "store://demo:1"]).expect_success().stdout;
    let by_both = format!("store://demo:1@{}", kept.trim());
    assert_eq!(context.run(["digest", &by_both]).expect_success().stdout, kept);
    assert_eq!(told["image.name"], format!("docker.io/library/demo:1@{digest}"));
    assert_eq!(context.run(["images", "-q"]).expect_success().stdout.lines().count(), 2);
    context.run(["rmi", "demo:1"]).expect_success();
    context.run(["digest", &by_both]).expect_success();
}

/// The address 0.0.0.0 reaches this machine, but is no loopback address: an exception has to be asked for.
#[test]
fn plain_http_has_to_be_asked_for() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("plain");
    let host = format!("0.0.0.0:{}", registry.host().rsplit_once(':').unwrap().1);
    let name = format!("{host}/app:1");
    let project = project(&context);
    let output = |extra: &str| format!("type=registry,name={name}{extra}");
    context.build(["-o", &output(""), &project]).expect_code(3);
    context.build(["-o", &output(",registry.insecure=true"), &project]).expect_success();
    let commands: [&[&str]; 4] =
        [&["digest", &name], &["config", &name], &["pull", "-q", &name], &["push", "-q", &name]];
    let only = format!("--plain-http={host}");
    for command in commands {
        if command[0] != "push" {
            context.run(command).expect_code(3);
        }
        for flag in ["--plain-http", &only] {
            context.run([command, &[flag]].concat()).expect_success();
        }
        if command[0] != "push" {
            context.run([command, &["--plain-http=elsewhere.test"]].concat()).expect_code(3);
        }
    }
    let repository = format!("{host}/app");
    assert_eq!(context.run(["ls", "--plain-http", &repository]).expect_success().stdout, "1\n");
    let copy = registry.image("copy:1");
    context.run(["copy", "-q", &name, &copy]).expect_code(3);
    context.run(["copy", "-q", &only, &name, &copy]).expect_success();
    // What is told to be spoken in plain HTTP only is not spoken to otherwise, and a certificate is no excuse.
    context.run(["digest", "--skip-verify", &name]).expect_code(3);
    context.run(["digest", "--skip-verify", "--plain-http", &name]).expect_success();
}

#[test]
fn passwords_do_not_cross_a_network_in_clear() {
    let Some(registry) = Registry::start_with_password() else { return };
    let context = Context::new("plain-login");
    let host = format!("0.0.0.0:{}", registry.host().rsplit_once(':').unwrap().1);
    let login = |flags: &[&str]| {
        let words = [&["login", "-u", USER, "--password-stdin", &host], flags].concat();
        let mut command = context.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = login(&["--plain-http"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("--plain-http-credentials"), "{said}");
    assert_eq!(registry.log().matches(USER).count(), 0, "the user's name was not sent either");
    let (code, said) = login(&["--plain-http", "--plain-http-credentials"]);
    assert_eq!(code, Some(0), "{said}");
    let name = format!("{host}/app:1");
    let flags = ["--plain-http", "--plain-http-credentials"];
    context.build(["-t", &name, &project(&context)]).expect_success();
    context.run([&["push", "-q", &name][..], &flags].concat()).expect_success();
    context.run(["digest", &name, "--plain-http"]).expect_code(3);
    context.run([&["digest", &name][..], &flags].concat()).expect_success();
}
