//! Each command on registries and on the store's images can tell its result as JSON.

#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::process::Stdio;

use cooper_testkit::{Context, Output, PASSWORD, Registry, USER};
use serde_json::{Value, json};

fn told(context: &Context, words: &[&str]) -> Value {
    let output = context.run(words).expect_success();
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {words:?}: {output}"))
}

#[test]
fn images_names_and_files() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("as-json");
    let (name, second, index) =
        (registry.image("app:1"), registry.image("app:2"), registry.image("app:index"));
    context.build_text("FROM scratch\nCOPY Dockerfile /file\n", &["-t", &name]);
    let pushed = told(&context, &["push", "--json", "-q", &name]);
    let digest = pushed["digest"].as_str().unwrap();
    assert_eq!(told(&context, &["pull", "--json", "-q", &name]), pushed);
    for words in [
        &["digest", "--json", &name][..],
        &["copy", "--json", "-q", &name, &second],
        &["index", "create", "--json", "-q", "--prefer-index=false", "-t", &second, &name],
    ] {
        assert_eq!(told(&context, words)["digest"], digest, "{words:?}");
    }
    assert_eq!(told(&context, &["manifest", &name])["schemaVersion"], 2);
    assert_eq!(told(&context, &["config", "--pretty", &name])["os"], "linux");
    assert_eq!(told(&context, &["inspect", &name]).as_array().unwrap().len(), 1);
    let made = told(&context, &["index", "create", "--json", "-q", "-t", &index, &name]);
    let shown = told(&context, &["index", "inspect", "--json", &index]);
    assert_eq!((&shown["digest"], &shown["manifests"][0]["digest"]), (&made["digest"], &digest.into()));
    let changed = told(&context, &["index", "annotate", "--json", "--annotation=a=b", &index]);
    assert_ne!(changed["digest"], made["digest"]);
    assert_eq!(told(&context, &["diff", "--json", "-q", &name, &second])["equal"], true);
    let tar = context.dir().join("files.tar");
    let exported = told(&context, &["export", "--json", "-q", "-o", tar.to_str().unwrap(), &name]);
    assert_eq!((&exported["digest"], &exported["output"]), (&digest.into(), &tar.to_str().unwrap().into()));
    assert!(tar.metadata().unwrap().len() > 0);
    context.run(["export", "--json", &name]).expect_code(2);

    let file = context.write("file", "content");
    let artifact = registry.image("files:1");
    let pushed = told(&context, &["artifact", "push", "--json", "-q", &artifact, file.to_str().unwrap()]);
    let out = context.dir().join("out");
    let pulled =
        told(&context, &["artifact", "pull", "--json", "-q", "-o", out.to_str().unwrap(), &artifact]);
    assert_eq!(pulled["digest"], pushed["digest"]);
    assert_eq!(told(&context, &["referrers", "--json", &name])["referrers"], json!([]));
    assert_eq!(told(&context, &["ls", "--json", &registry.image("app")])["tags"], json!(["1", "2", "index"]));
    let deleted = told(&context, &["delete", "--json", "--all-tags", &index]);
    assert_eq!(deleted["deleted"].as_array().unwrap().len(), 1);

    assert_eq!(told(&context, &["tag", "--json", &name, "mine:1"])["name"], "docker.io/library/mine:1");
    assert!(told(&context, &["images", "--json"]).as_array().unwrap().len() >= 2);
    assert_eq!(told(&context, &["rmi", "--json", "mine:1"])["untagged"], json!(["docker.io/library/mine:1"]));
    assert!(told(&context, &["prune", "--json"])["freedBytes"].is_u64());
    assert!(told(&context, &["du", "--json"]).is_object());
}

#[test]
fn logins() {
    let Some(registry) = Registry::start_with_password() else { return };
    let context = Context::new("login-json");
    let host = registry.host();
    let mut login = context.command(["login", "--json", "-u", USER, "--password-stdin", &host]);
    let mut login =
        login.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    login.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    let output = login.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told_: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let file = context.dir().join("docker-config/config.json");
    let want = json!({"registry": host, "username": USER, "file": file.to_str().unwrap(), "helper": null});
    assert_eq!(told_, want);
    for removed in [true, false] {
        let want = json!({"registry": host, "removed": removed});
        assert_eq!(told(&context, &["logout", "--json", &host]), want);
    }
    // What fails is told by its exit code.
    let mut wrong = context.command(["login", "--json", "-u", USER, "-p", "wrong", &host]);
    let wrong = Output::of(&mut wrong).expect_code(3);
    assert!(wrong.stdout.is_empty() && !wrong.stderr.contains("\"wrong\""), "{wrong}");
}
