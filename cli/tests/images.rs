//! Images of the store: names, push and pull, credentials, disk space.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::Stdio;

use cooper_testkit::{Context, PASSWORD, Registry, USER};

/// An image that needs no RUN.
fn built(context: &Context, name: &str) {
    context.write("project/Dockerfile", "FROM busybox\nCOPY Dockerfile /file\nLABEL made=here\n");
    let project = context.dir().join("project");
    context.build(["-t", name, project.to_str().unwrap()]).expect_success();
}

#[test]
fn names_come_and_go() {
    let context = Context::new("names");
    built(&context, "demo:1");
    context.run(["tag", "demo:1", "registry.example/other:2"]).expect_success();
    let list = context.run(["images"]).expect_success();
    let row = |start: &str| {
        list.stdout.lines().any(|l| l.split_whitespace().take(2).collect::<Vec<_>>().join(":") == start)
    };
    assert!(row("demo:1") && row("registry.example/other:2"), "{list}");
    let inspected = context.run(["inspect", "demo:1"]).expect_success();
    let inspected: serde_json::Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!(inspected[0]["config"]["config"]["Labels"]["made"], "here");
    context.run(["rmi", "demo:1"]).expect_success();
    let missing = context.run(["inspect", "demo:1"]).expect_code(1);
    assert!(missing.stderr.starts_with("cooper: "), "{missing}");
    context.run(["inspect", "registry.example/other:2"]).expect_success();
}

#[test]
fn removing_goes_on_after_a_failure() {
    let context = Context::new("rmi");
    built(&context, "demo:1");
    let output = context.run(["rmi", "nothing:1", "demo:1"]).expect_code(1);
    assert!(output.stdout.contains("demo:1") && output.stderr.contains("nothing"), "{output}");
}

#[test]
fn disk_space_is_told_and_freed() {
    let context = Context::new("space");
    built(&context, "demo:1");
    let usage = context.run(["du", "--json"]).expect_success();
    let usage: serde_json::Value = serde_json::from_str(&usage.stdout).unwrap();
    assert!(usage["blobs"].as_u64().unwrap() > 0, "{usage}");
    context.run(["du"]).expect_success();
    let freed = context.run(["prune", "--all"]).expect_success();
    assert!(freed.stdout.starts_with("Total reclaimed space: "), "{freed}");
}

#[test]
fn what_is_pushed_can_be_pulled() {
    let Some(registry) = Registry::start() else { return };
    let (here, there) = (Context::new("push"), Context::new("pull"));
    let name = registry.image("demo:1");
    built(&here, &name);
    let pushed = here.run(["push", "-q", &name]).expect_success();
    let pulled = there.run(["pull", "-q", &name]).expect_success();
    assert_eq!(pushed.stdout, pulled.stdout);
    let id = |context: &Context| context.run(["images", "-q"]).expect_success().stdout;
    assert_eq!(id(&here), id(&there));
    let Some(mut command) = cooper_testkit::skopeo(here.dir()) else { return };
    command.args(["inspect", "--tls-verify=false", &format!("docker://{name}")]);
    let seen = cooper_testkit::Output::of(&mut command).expect_success();
    assert!(seen.stdout.contains(pushed.stdout.trim()), "{seen}");
}

#[test]
fn an_image_with_uncompressed_layers_goes_on_as_it_came() {
    let Some(registry) = Registry::start() else { return };
    let (here, there) = (Context::new("plain-push"), Context::new("plain-pull"));
    let (name, copy) = (registry.image("demo:1"), registry.image("copy:1"));
    here.write("project/Dockerfile", "FROM scratch\nCOPY Dockerfile /file\n");
    let output = format!("type=image,name={name},push=true,compression=uncompressed");
    let project = here.dir().join("project");
    here.build(["--output", &output, project.to_str().unwrap()]).expect_success();
    let pulled = there.run(["pull", "-q", &name]).expect_success().stdout;
    there.run(["tag", &name, &copy]).expect_success();
    // Also after its layer was unpacked.
    for _ in 0..2 {
        assert_eq!(there.run(["push", "-q", &copy]).expect_success().stdout, pulled);
        assert_eq!(here.run(["digest", &copy]).expect_success().stdout, pulled);
        let tar = there.run(["export", &format!("store://{name}")]).expect_success();
        assert!(tar.stdout.contains("COPY Dockerfile /file"), "{tar}");
        here.run(["delete", &copy]);
    }
    // What was made here is compressed on its way to a registry.
    here.build(["-t", &copy, project.to_str().unwrap()]).expect_success();
    assert_ne!(here.run(["push", "-q", &copy]).expect_success().stdout, pulled);
}

#[test]
fn build_and_push_in_one() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("build-push");
    let name = registry.image("demo:2");
    context.write("Dockerfile", "FROM busybox\nCOPY Dockerfile /file\n");
    context.build(["--push", "-t", &name, context.dir().to_str().unwrap()]).expect_success();
    Context::new("build-pull").run(["pull", &name]).expect_success();
}

#[test]
fn what_is_not_there_is_told_apart_from_a_registry_that_is_not() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("remote");
    let name = registry.image("nothing:1");
    let missing = context.run(["pull", &name]).expect_code(4);
    assert!(missing.stderr.contains("nothing"), "{missing}");
    drop(registry);
    context.run(["pull", &name]).expect_code(3);
}

#[test]
fn login_checks_and_keeps_credentials() {
    let Some(registry) = Registry::start_with_password() else { return };
    let context = Context::new("login");
    let login = |password: &str| {
        let mut command = context.command(["login", "-u", USER, "--password-stdin", &registry.host()]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let refused = login("wrong");
    assert!(!refused.status.success());
    assert!(!String::from_utf8_lossy(&refused.stderr).contains("wrong"), "a password is never shown");
    let accepted = login(PASSWORD);
    assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
    let name = registry.image("demo:1");
    built(&context, &name);
    context.run(["push", &name]).expect_success();
    context.run(["logout", &registry.host()]).expect_success();
    let refused = context.run(["push", &name]);
    assert!(!refused.success(), "{refused}");
}
