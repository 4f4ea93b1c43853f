//! Images where they are: tags, digests, manifests, configs, files and differences of images in a registry, in the
//! store and in OCI layouts; skopeo is the other side.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use cooper_testkit::{Context, Output, Registry, program, skopeo, wait_for};
use serde_json::Value;

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output}"))
}

fn skopeo_raw(context: &Context, arguments: &[&str]) -> Option<String> {
    let mut command = skopeo(context.dir())?;
    command.args(["inspect", "--tls-verify=false"]).args(arguments);
    Some(Output::of(&mut command).expect_success().stdout)
}

#[test]
fn tags_are_listed_and_taken_away() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("ls");
    let repository = registry.image("team/app");
    for tag in ["2", "1", "old"] {
        context.build_text("FROM busybox\nLABEL a=b\n", &["-t", &format!("{repository}:{tag}"), "--push"]);
    }
    let list = context.run(["ls", &repository]).expect_success();
    assert_eq!(list.stdout, "1\n2\nold\n");
    let list = json(&context.run(["ls", "--json", &repository]).expect_success());
    assert_eq!(list["tags"], serde_json::json!(["1", "2", "old"]));
    assert_eq!(list["repository"], repository);
    let empty = Context::new("ls-only");
    assert_eq!(empty.run(["ls", &repository]).expect_success().stdout, "1\n2\nold\n");
    assert!(!empty.store().exists(), "no store is needed for that");
    // This registry cannot take away a tag alone, and nothing else must go instead.
    let one = format!("{repository}:old");
    let refused = context.run(["delete", &one]).expect_code(3);
    assert!(refused.stderr.contains("--all-tags"), "{refused}");
    assert_eq!(context.run(["ls", &repository]).expect_success().stdout, "1\n2\nold\n");
    let digest = context.run(["digest", &one]).expect_success().stdout.trim().to_owned();
    let deleted = context.run(["delete", "--all-tags", &one]).expect_success();
    assert_eq!(deleted.stdout, format!("Deleted: {repository}@{digest}\n"));
    context.run(["digest", &one]).expect_code(4);
    context.run(["delete", &one]).expect_code(4);
    context.run(["delete", &format!("{repository}@{digest}")]).expect_code(4);
}

#[test]
fn what_is_not_there_has_an_exit_code_of_its_own() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("absent");
    let nothing = registry.image("nothing:1");
    for command in ["digest", "manifest", "config", "export", "delete"] {
        let output = context.run([command, &nothing]).expect_code(4);
        assert!(output.stderr.contains("nothing") && output.stdout.is_empty(), "{output}");
    }
    context.run(["ls", &registry.image("nothing")]).expect_code(4);
    context.run(["ls", &nothing]).expect_code(2);
    context.run(["ls", "docker://x"]).expect_code(2);
    context.run(["delete", "store://x"]).expect_code(2);
    context.run(["digest", "store://x"]).expect_code(1);
    context.run(["digest", "oci-layout://no/such/place"]).expect_code(1);
    context.run(["digest", "--platform=x/y/z/w", &nothing]).expect_code(2);
    // A port where nobody listens.
    let gone = { registry.host() };
    drop(registry);
    context.run(["digest", &format!("{gone}/x:1")]).expect_code(3);
}

#[test]
fn documents_are_those_that_skopeo_sees() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("documents");
    let name = registry.image("app:1");
    context.push_two_platforms(&name);
    let run = |words: &[&str]| context.run(words).expect_success().stdout;
    let source = format!("docker://{name}");
    let index = run(&["manifest", &name]);
    let digest = run(&["digest", &name]);
    let whole = json(&context.run(["digest", "--json", &name]).expect_success());
    assert_eq!(whole["digest"], digest.trim());
    assert_eq!(whole["size"], index.len());
    assert_eq!(whole["mediaType"], "application/vnd.oci.image.index.v1+json");
    let entry = |arch: &str| -> String {
        let index: Value = serde_json::from_str(&index).unwrap();
        let all = index["manifests"].as_array().unwrap();
        let found = all.iter().find(|m| m["platform"]["architecture"] == arch).unwrap();
        found["digest"].as_str().unwrap().to_owned()
    };
    for arch in ["amd64", "arm64"] {
        let platform = format!("--platform=linux/{arch}");
        assert_eq!(run(&["digest", &platform, &name]).trim(), entry(arch));
        let config: Value = serde_json::from_str(&run(&["config", &platform, &name])).unwrap();
        assert_eq!(config["config"]["Labels"]["arch"], arch);
        let by_digest = registry.image(&format!("app@{}", entry(arch)));
        assert_eq!(run(&["manifest", &platform, &name]), run(&["manifest", &by_digest]));
    }
    let missing = context.run(["config", "--platform=linux/s390x", &name]).expect_code(1);
    assert!(missing.stderr.contains("linux/amd64, linux/arm64"), "{missing}");
    let Some(seen) = skopeo_raw(&context, &["--raw", &source]) else { return };
    assert_eq!(seen, index, "byte by byte");
    let seen = skopeo_raw(&context, &["--raw", "--config", "--override-arch=arm64", &source]).unwrap();
    assert_eq!(seen, run(&["config", "--platform=linux/arm64", &name]));
}

#[test]
fn one_image_in_three_places_is_one() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("places");
    let name = registry.image("app:1");
    context.build_text(
        "FROM busybox\nCOPY Dockerfile /file\nENV A=1\n",
        &["-t", &name, "-o", "type=image", "-o", "type=registry"],
    );
    let layout = context.dir().join("layout");
    let layout = layout.to_str().unwrap();
    context.build_text(
        "FROM busybox\nCOPY Dockerfile /file\nENV A=1\n",
        &["-t", "app:1", "-o", &format!("type=oci,tar=false,dest={layout}")],
    );
    let (store, layout) = (format!("store://{name}"), format!("oci-layout://{layout}:1"));
    let config = |name: &str| context.run(["config", name]).expect_success().stdout;
    assert_eq!(config(&name), config(&store));
    assert_eq!(config(&name), config(&layout));
    let digest = |name: &str| context.run(["digest", name]).expect_success().stdout;
    assert_eq!(digest(&name), digest(&layout));
    for (a, b) in [(&name, &store), (&store, &layout), (&layout, &name)] {
        let same = context.run(["diff", "-q", "--exit-code", a, b]).expect_success();
        assert!(same.stdout.contains("no difference"), "{same}");
    }
}

#[test]
fn differences_are_told() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("diff");
    let (old, new) = (registry.image("app:1"), registry.image("app:2"));
    context.write("project/one", "1");
    context.write("project/same", "same");
    let dockerfile = "FROM busybox\nCOPY one /etc/conf\nCOPY same /gone\nCOPY same /same\nENV A=1 B=2\n";
    context.build_text(dockerfile, &["-t", &old, "--push"]);
    let dockerfile = "FROM busybox\nCOPY --chmod=600 Dockerfile /etc/conf\nCOPY same /same\nCOPY one /opt/new\n\
         ENV A=2\nUSER nobody\n";
    context.build_text(dockerfile, &["-t", &new, "--push"]);
    let output = context.run(["diff", "-q", "--exit-code", &old, &new]).expect_code(1);
    for line in [
        "- config.Env.A: 1",
        "+ config.Env.A: 2",
        "- config.Env.B: 2",
        "+ config.User: nobody",
        "- /gone",
        "+ /opt/new  1B",
        "+ /opt/",
    ] {
        assert!(output.stdout.lines().any(|l| l == line), "{line:?} is missing: {output}");
    }
    let conf = output.stdout.lines().find(|l| l.starts_with("~ /etc/conf")).unwrap();
    assert!(conf.contains("content 1B → ") && conf.contains("mode 0644 → 0600"), "{conf}");
    assert!(!output.stdout.contains("/same"), "{output}");
    let all = json(&context.run(["diff", "-q", "--json", &old, &new]).expect_success());
    assert_eq!(all["equal"], false);
    let files: BTreeMap<&str, &str> = all["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["path"].as_str().unwrap(), f["change"].as_str().unwrap()))
        .collect();
    assert_eq!(
        files,
        [("/etc/conf", "changed"), ("/gone", "removed"), ("/opt", "added"), ("/opt/new", "added")].into()
    );
    // Of copies, whose requests are told from those before.
    let copies = [registry.image("other:1"), registry.image("other:2")];
    for (name, copy) in [(&old, &copies[0]), (&new, &copies[1])] {
        context.run(["copy", "-q", name, copy]).expect_success();
    }
    let words = ["diff", "-q", "--json", "--no-files", &copies[0], &copies[1]];
    let short = json(&context.run(words).expect_success());
    assert_eq!(short["files"], Value::Null);
    assert_eq!(short["before"]["layers"][0]["shared"], true);
    // The registry's log may come after its answer.
    let fetched = || registry.requests("GET", "other/blobs/");
    wait_for(Duration::from_mins(1), || fetched() >= 2);
    assert_eq!(fetched(), 2, "the configs only");
}

#[test]
fn files_come_out_as_one_tar() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("export");
    let name = registry.image("app:1");
    context.write("project/one", "content of one\n");
    context.build_text(
        "FROM busybox\nCOPY one /a/one\nCOPY one /a/two\n",
        &["-t", &name, "-o", "type=image", "-o", "type=registry"],
    );
    let other = Context::new("export-remote");
    let file = |context: &Context, name: &str| {
        let file = context.dir().join("out.tar");
        let output = context.run(["export", "-q", "-o", file.to_str().unwrap(), name]).expect_success();
        assert!(output.stdout.is_empty(), "{output}");
        std::fs::read(file).unwrap()
    };
    let remote = file(&other, &name);
    assert!(
        remote == file(&context, &format!("store://{name}")),
        "wherever it comes from, the tar is the same"
    );
    assert!(other.run(["images", "-q"]).expect_success().stdout.is_empty(), "nothing is kept under a name");
    let list = Output::of(program("tar").arg("tf").arg(other.dir().join("out.tar"))).expect_success();
    for path in ["a/one", "a/two", "bin/busybox"] {
        assert!(list.stdout.lines().any(|l| l.trim_start_matches("./") == path), "{path}: {list}");
    }
    let mut piped = other.command(["export", "-q", &name]);
    let piped = piped.output().unwrap();
    assert!(piped.status.success() && piped.stdout == remote);
}

#[test]
fn transfers_can_be_told_as_json() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("json");
    let name = registry.image("app:1");
    context.build_text("FROM busybox\nLABEL a=b\n", &["-t", &name]);
    let pushed = json(&context.run(["push", "--json", &name]).expect_success());
    let pulled = json(&Context::new("json-pull").run(["pull", "--json", &name]).expect_success());
    assert_eq!(pushed, pulled);
    assert_eq!(pushed["name"], name);
    assert_eq!(pushed["digest"], context.run(["digest", &name]).expect_success().stdout.trim());
}

/// A registry that answers everything with one list of tags, and a warning.
fn warning_registry() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().take(20) {
            let Ok(mut stream) = stream else { continue };
            let mut start = [0; 4096];
            let got = stream.read(&mut start).unwrap_or_default();
            let answer: &[u8] = if start[..got].starts_with(b"GET ") {
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 25\r\n\
                  Warning: 299 - \"moves to new.test\"\r\n\r\n{\"name\":\"x\",\"tags\":[\"1\"]}"
            } else {
                // Asked for TLS.
                b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            };
            let _ = stream.write_all(answer);
        }
    });
    address
}

#[test]
fn what_a_registry_says_to_its_users_is_shown() {
    let context = Context::new("notice");
    let listed = context.run(["ls", &format!("{}/x", warning_registry())]).expect_success();
    assert_eq!(listed.stdout, "1\n");
    assert_eq!(listed.stderr.matches("moves to new.test").count(), 1, "{listed}");
}

#[test]
fn what_a_registry_says_during_a_build_is_shown_once() {
    let context = Context::new("notice-build");
    // What it answers is no image, so that nothing else comes of it.
    let text = format!("FROM {}/x:1\n", warning_registry());
    let file = context.write("project/Dockerfile", text);
    let failed = context.build([file.parent().unwrap()]);
    assert!(!failed.success(), "{failed}");
    assert_eq!(failed.stderr.matches("moves to new.test").count(), 1, "{failed}");
}

#[test]
fn what_went_wrong_with_a_transfer_is_told_once() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("told-once");
    let absent = registry.image("absent:1");
    let pulled = context.run(["pull", &absent]).expect_code(4);
    assert_eq!(pulled.stderr.matches("MANIFEST_UNKNOWN").count(), 1, "{pulled}");
    let pushed = context.run(["push", &absent]).expect_code(1);
    assert_eq!(pushed.stderr.matches("no image named").count(), 1, "{pushed}");
}
