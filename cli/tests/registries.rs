//! Images, indexes and artifacts moved between registries: copy, referrers, index, artifact. skopeo, or plain HTTP by
//! curl, is the other side.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use cooper_testkit::{Context, Output, Registry, program, skopeo, tool};
use serde_json::Value;

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output}"))
}

fn run(context: &Context, words: &[&str]) -> String {
    context.run(words).expect_success().stdout
}

fn inspect_raw(directory: &Path, name: &str) -> Option<String> {
    let mut command = skopeo(directory)?;
    command.args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
    Some(Output::of(&mut command).expect_success().stdout)
}

#[test]
fn an_image_is_copied_without_a_store() {
    let (Some(here), Some(there)) = (Registry::start(), Registry::start()) else { return };
    let context = Context::new("copy");
    let (source, target) = (here.image("team/app:1"), there.image("other/app:2"));
    context.push_two_platforms(&source);
    let copier = Context::new("copier");
    let first = json(&copier.run(["copy", "--json", "-q", &source, &target]).expect_success());
    assert!(!copier.store().exists());
    let digest = run(&copier, &["digest", &source]);
    assert_eq!(first["digest"], digest.trim());
    assert_eq!(run(&copier, &["digest", &target]), digest);
    // The layer is the same for both platforms.
    assert_eq!(first["blobs"], serde_json::json!({"sent": 3, "mounted": 0, "existed": 0}));
    if let Some(raw) = inspect_raw(context.dir(), &target) {
        assert_eq!(raw, run(&copier, &["manifest", &source]));
    }
    let uploads = there.requests("PUT", "/blobs/uploads/");
    run(&copier, &["copy", "-q", &source, &target]);
    assert_eq!(there.requests("PUT", "/blobs/uploads/"), uploads, "nothing is sent twice");
    // Within one registry nothing is sent at all.
    let third = there.image("third/app:1");
    let mounted = json(&copier.run(["copy", "--json", "-q", &target, &third]).expect_success());
    assert_eq!(mounted["blobs"], serde_json::json!({"sent": 0, "mounted": 3, "existed": 0}));
    assert_eq!(there.requests("PUT", "/blobs/uploads/"), uploads);
    let Some(mut command) = skopeo(context.dir()) else { return };
    let dir = format!("dir:{}", context.dir().join("out").display());
    command.args(["copy", "--all", "--src-tls-verify=false", &format!("docker://{third}"), &dir]);
    Output::of(&mut command).expect_success();
}

#[test]
fn a_mirror_that_fails_is_told_and_passed_over() {
    let (Some(here), Some(there)) = (Registry::start(), Registry::start()) else { return };
    let context = Context::new("mirror");
    let source = here.image("team/app:1");
    context.build_text("FROM scratch\nCOPY Dockerfile /file\n", &["-t", &source, "--push"]);
    // The mirror has no such image.
    let host = source.split('/').next().unwrap().to_owned();
    let mirror = there.image("x").split('/').next().unwrap().to_owned();
    let conf = format!("[[registry]]\nlocation = '{host}'\n[[registry.mirror]]\nlocation = '{mirror}'\n");
    let conf = context.write("registries.conf", &conf);
    let mut command = context.command(["copy", &source, &there.image("copied/app:1")]);
    command.env("CONTAINERS_REGISTRIES_CONF", &conf);
    let output = Output::of(&mut command).expect_success();
    let words = format!("{mirror} failed, asking {host}");
    assert!(output.stderr.contains(&words), "{output}");
    // During a build, too, and as it happens.
    let file = context.write("from/Dockerfile", format!("FROM {source}\nCOPY Dockerfile /other\n"));
    let builder = Context::new("mirror-build");
    let mut command = builder.command(["build", "--progress=plain"]);
    command.arg(file.parent().unwrap()).env("CONTAINERS_REGISTRIES_CONF", &conf);
    let output = Output::of(&mut command).expect_success();
    let line = output.stderr.lines().find(|line| line.contains(&words)).unwrap_or_default();
    assert!(line.starts_with("#1 "), "{output}");
}

#[test]
fn one_platform_can_be_copied_alone() {
    let (Some(here), Some(there)) = (Registry::start(), Registry::start()) else { return };
    let context = Context::new("copy-platform");
    let (source, target) = (here.image("app:1"), there.image("app:arm"));
    context.push_two_platforms(&source);
    run(&context, &["copy", "-q", "--platform=linux/arm64", &source, &target]);
    let want = run(&context, &["digest", "--platform=linux/arm64", &source]);
    assert_eq!(run(&context, &["digest", &target]), want);
    let config = context.run(["config", "--platform=linux/arm64", &target]).expect_success();
    assert_eq!(json(&config)["architecture"], "arm64");
    context.run(["copy", "-q", "--platform=linux/s390x", &source, &target]).expect_code(1);
    context.run(["copy", "-q", &here.image("app:none"), &target]).expect_code(4);
    context.run(["copy", "-q", "store://app:1", &target]).expect_code(2);
}

#[test]
fn what_refers_to_an_image_goes_with_it() {
    let (Some(here), Some(there)) = (Registry::start(), Registry::start()) else { return };
    let context = Context::new("referrers");
    let (source, target) = (here.image("app:1"), there.image("copy:1"));
    context.build_text("FROM busybox\nLABEL a=b\n", &["-t", &source, "--push"]);
    assert_eq!(run(&context, &["referrers", &source]).lines().count(), 1, "only the heading");
    let sbom = context.write("sbom.json", "{\"spdx\":1}");
    let signature = context.write("sig", "signed");
    let push = |kind: &str, file: &Path| {
        let words = ["artifact", "push", "-q", "--subject", &source, "--artifact-type", kind];
        let mut command = context.command(words);
        Output::of(command.arg(here.image("app")).arg(file)).expect_success().stdout.trim().to_owned()
    };
    let (sbom, signature) = (push("application/spdx+json", &sbom), push("application/x-sig", &signature));
    let list = json(&context.run(["referrers", "--json", &source]).expect_success());
    assert_eq!(list["subject"]["digest"], run(&context, &["digest", &source]).trim());
    let mut kinds: Vec<(&str, &str)> = list["referrers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["artifactType"].as_str().unwrap(), r["digest"].as_str().unwrap()))
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [("application/spdx+json", &*sbom), ("application/x-sig", &*signature)]);
    assert!(!run(&context, &["ls", &here.image("app")]).contains("latest"), "it got no tag");
    run(&context, &["copy", "-q", "--referrers", &source, &target]);
    let one = run(&context, &["referrers", "--artifact-type=application/x-sig", &target]);
    assert!(one.contains(&signature) && !one.contains(&sbom), "{one}");
    // What is deleted is not listed any more.
    run(&context, &["delete", &there.image(&format!("copy@{signature}"))]);
    let left = run(&context, &["referrers", &target]);
    assert!(left.contains(&sbom) && !left.contains(&signature), "{left}");
}

#[test]
fn an_index_is_made_of_images() {
    let (Some(here), Some(there)) = (Registry::start(), Registry::start()) else { return };
    let context = Context::new("index");
    let both = here.image("build:all");
    context.push_two_platforms(&both);
    for arch in ["amd64", "arm64"] {
        let platform = format!("--platform=linux/{arch}");
        run(&context, &["copy", "-q", &platform, &both, &here.image(&format!("build:{arch}"))]);
    }
    let (amd, arm) = (here.image("build:amd64"), here.image("build:arm64"));
    let release = there.image("release/app:1");
    let planned = run(&context, &["index", "create", "--dry-run", &arm, &amd]);
    assert_eq!(run(&context, &["ls", &here.image("build")]), "all\namd64\narm64\n");
    let made = run(&context, &["index", "create", "-q", "-t", &release, &amd, &arm]);
    assert_eq!(run(&context, &["manifest", &release]), planned, "the order of sources does not matter");
    assert_eq!(run(&context, &["digest", &release]), made);
    if let Some(raw) = inspect_raw(context.dir(), &release) {
        assert_eq!(raw, planned);
    }
    let entries = |name: &str| {
        let shown = json(&context.run(["index", "inspect", "--json", name]).expect_success());
        let all = shown["manifests"].as_array().unwrap().clone();
        all.iter().map(|m| m["platform"]["architecture"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(entries(&release), ["amd64", "arm64"]);
    let text = run(&context, &["index", "inspect", &release]);
    assert!(text.contains("linux/arm64") && text.contains(made.trim()), "{text}");
    assert_eq!(run(&context, &["index", "inspect", "--raw", &release]), planned);
    // One image first, the other later.
    let grown = there.image("release/app:2");
    run(&context, &["index", "create", "-q", "-t", &grown, &amd]);
    assert_eq!(entries(&grown), ["amd64"]);
    run(&context, &["index", "create", "-q", "--append", "-t", &grown, &arm]);
    assert_eq!(run(&context, &["digest", &grown]), made);
    // A copy of an index is that index; a part of it is not.
    let copy = there.image("copy:1");
    run(&context, &["index", "create", "-q", "-t", &copy, "-t", &there.image("copy:2"), &both]);
    assert_eq!(run(&context, &["digest", &copy]), run(&context, &["digest", &both]));
    run(&context, &["index", "create", "-q", "-t", &copy, "--platform=linux/arm64", &both]);
    assert_eq!(entries(&copy), ["arm64"]);
    context.run(["index", "create", "-q", "-t", &copy, "-p", "linux/s390x", &both]).expect_code(1);
    context.run(["index", "inspect", &amd]).expect_code(1);
    context.run(["index", "create", &both]).expect_code(2);
}

#[test]
fn sources_of_an_index_are_names_digests_and_descriptors() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("index-sources");
    let both = registry.image("app:all");
    context.push_two_platforms(&both);
    let digest = |platform: &str| {
        run(&context, &["digest", &format!("--platform={platform}"), &both]).trim().to_owned()
    };
    let (amd, arm) = (digest("linux/amd64"), digest("linux/arm64"));
    let made = registry.image("app:made");
    let metadata = context.dir().join("metadata.json");
    // By digest and from a file: both are in the repository of the name.
    let file = context.write("arm.txt", format!("{arm}\n"));
    let words = ["index", "create", "-q", "--metadata-file", metadata.to_str().unwrap(), "-t", &made];
    let result = run(&context, &[&words[..], &[&amd, "-f", file.to_str().unwrap()]].concat());
    assert_eq!(run(&context, &["digest", &made]), result);
    assert_eq!(run(&context, &["digest", &both]), result);
    let written: Value = serde_json::from_slice(&std::fs::read(&metadata).unwrap()).unwrap();
    assert_eq!(written["containerimage.descriptor"]["digest"], result.trim());
    assert_eq!(written["image.name"], registry.image("app"));
    // A descriptor says more of an image than its config does.
    let given = serde_json::json!({
        "digest": arm, "annotations": {"team": "one"}, "platform": {"os.version": "10.1", "variant": "v9"},
    });
    let file = context.write("arm.json", given.to_string());
    let name = registry.image("app:told");
    run(&context, &["index", "create", "-q", "-t", &name, "--file", file.to_str().unwrap(), &amd]);
    let shown = json(&context.run(["index", "inspect", "--json", &name]).expect_success());
    let entry = &shown["manifests"][1];
    assert_eq!((&entry["digest"], &entry["annotations"]["team"]), (&arm.as_str().into(), &"one".into()));
    let platform = serde_json::json!(
        {"architecture": "arm64", "os": "linux", "os.version": "10.1", "variant": "v9"}
    );
    assert_eq!(entry["platform"], platform);
    // Added once more with other words, it is still one entry, with the new words.
    let file = context
        .write("again.json", serde_json::json!({"digest": arm, "annotations": {"team": "two"}}).to_string());
    run(&context, &["index", "create", "-q", "--append", "-t", &name, "-f", file.to_str().unwrap()]);
    let shown = json(&context.run(["index", "inspect", "--json", &name]).expect_success());
    assert_eq!(shown["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(shown["manifests"][1]["annotations"]["team"], "two");
    if let Some(raw) = inspect_raw(context.dir(), &name) {
        assert_eq!(raw, run(&context, &["index", "inspect", "--raw", &name]));
    }
    // One image alone: an index of it, or itself, here and in another repository.
    run(&context, &["index", "create", "-q", "-t", &name, &amd]);
    assert_ne!(run(&context, &["digest", &name]).trim(), amd);
    let elsewhere = registry.image("other:1");
    let source = registry.image(&format!("app@{amd}"));
    run(&context, &["index", "create", "-q", "--prefer-index=false", "-t", &elsewhere, "-t", &name, &source]);
    assert_eq!(run(&context, &["digest", &name]).trim(), amd);
    assert_eq!(run(&context, &["digest", &elsewhere]).trim(), amd);
    run(&context, &["export", "-q", "-o", context.dir().join("x.tar").to_str().unwrap(), &elsewhere]);
    // What cannot be.
    context.run(["index", "create", "-t", &elsewhere, "-t", &name, &amd]).expect_code(1);
    context.run(["index", "create", "-t", &name, "-f", "no-such-file"]).expect_code(2);
    context.run(["index", "create", "-t", &name, r#"{"schemaVersion":2}"#]).expect_code(2);
    context.run(["index", "create", "-t", &name, &format!("sha256:{}", "0".repeat(64))]).expect_code(4);
    context.run(["index", "create", "-t", &name]).expect_code(2);
}

#[test]
fn annotations_of_an_index_change() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("annotate");
    let name = registry.image("app:1");
    context.push_two_platforms(&name);
    let before = run(&context, &["digest", &name]);
    let words = ["index", "annotate", "--annotation", "a=b", "--annotation"];
    let made = run(&context, &[&words[..], &["manifest-descriptor[linux/arm64]:c=d", &name]].concat());
    assert_eq!(run(&context, &["digest", &name]), made);
    let shown = json(&context.run(["index", "inspect", "--json", &name]).expect_success());
    assert_eq!(shown["annotations"]["a"], "b");
    assert_eq!(shown["manifests"][1]["annotations"]["c"], "d");
    assert_eq!(shown["manifests"][0].get("annotations"), None);
    let words = ["index", "annotate", "--tag=2", "--annotation=a=", "--annotation"];
    let restored = run(&context, &[&words[..], &["manifest-descriptor:c=", &name]].concat());
    assert_eq!(restored, before, "what is taken away leaves nothing behind");
    assert_eq!(run(&context, &["digest", &registry.image("app:2")]), before);
    assert_eq!(run(&context, &["digest", &name]), made);
    let nothing = ["index", "annotate", "--annotation=manifest-descriptor[linux/s390x]:a=b", &name];
    context.run(nothing).expect_code(1);
}

#[test]
fn files_go_to_a_registry_and_back() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("artifact");
    context.write("chart/values.yaml", "a: 1\n");
    context.write("notes.txt", "hello\n");
    let name = registry.image("files/notes:1");
    let words =
        ["artifact", "push", "--json", "-q", "--artifact-type=application/x-notes", "--annotation=k=v"];
    let mut command = context.command(words);
    command.current_dir(context.dir()).args([&name, "notes.txt:text/plain", "chart/values.yaml"]);
    let pushed = Output::of(&mut command).expect_success();
    assert_eq!(
        Output::of(&mut command).expect_success().stdout,
        pushed.stdout,
        "the same files, the same digest"
    );
    let pushed = json(&pushed);
    let manifest = json(&context.run(["manifest", &name]).expect_success());
    assert_eq!(manifest["artifactType"], "application/x-notes");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "text/plain");
    assert_eq!(manifest["layers"][1]["annotations"]["org.opencontainers.image.title"], "chart/values.yaml");
    assert_eq!(manifest["annotations"]["k"], "v");
    assert_eq!(pushed["layers"], manifest["layers"]);
    let other = Context::new("artifact-pull");
    let out = other.dir().join("out");
    let pulled = other.run(["artifact", "pull", "-q", "-o", out.to_str().unwrap(), &name]).expect_success();
    assert_eq!(std::fs::read_to_string(out.join("notes.txt")).unwrap(), "hello\n");
    assert_eq!(std::fs::read_to_string(out.join("chart/values.yaml")).unwrap(), "a: 1\n");
    let paths: Vec<&str> = pulled.stdout.lines().collect();
    assert_eq!(
        paths,
        [out.join("notes.txt").to_str().unwrap(), out.join("chart/values.yaml").to_str().unwrap()]
    );
    // By plain HTTP.
    if let Some(curl) = tool("curl") {
        let digest = manifest["layers"][0]["digest"].as_str().unwrap();
        let url = format!("http://{}/v2/files/notes/blobs/{digest}", registry.host());
        let got = Output::of(program(curl).args(["-fsS", &url])).expect_success();
        assert_eq!(got.stdout, "hello\n");
    }
    if let Some(raw) = inspect_raw(context.dir(), &name) {
        assert_eq!(serde_json::from_str::<Value>(&raw).unwrap(), manifest);
    }
    // An image has no files of its own.
    context.build_text("FROM busybox\nLABEL a=b\n", &["-t", &registry.image("image:1"), "--push"]);
    context.run(["artifact", "pull", "-q", &registry.image("image:1")]).expect_code(1);
    context.run(["artifact", "push", "-q", &name, "no-such-file"]).expect_code(1);
    context.run(["artifact", "push", "-q", &name]).expect_code(2);
    context.run(["config", "--platform=linux/amd64", &name]).expect_success();
    context.run(["diff", "-q", &name, &name]).expect_code(1);
}

#[test]
fn directories_go_to_a_registry_and_back() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("artifact-directory");
    context.write("site/index.html", "<p>\n");
    context.write("site/css/a.css", "p{}\n");
    context.write("notes.txt", "hello\n");
    std::os::unix::fs::symlink("css/a.css", context.dir().join("site/style")).unwrap();
    let name = registry.image("site:1");
    let mut command = context.command(["artifact", "push", "-q", &name, "site", "notes.txt"]);
    let first = Output::of(command.current_dir(context.dir())).expect_success().stdout;
    // Times and owners make no difference, content does.
    context.write("site/index.html", "<p>\n");
    assert_eq!(Output::of(&mut command).expect_success().stdout, first);
    let manifest = json(&context.run(["manifest", &name]).expect_success());
    let layer = &manifest["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    assert_eq!(layer["annotations"]["org.opencontainers.image.title"], "site");
    assert_eq!(layer["annotations"]["io.deis.oras.content.unpack"], "true");
    let out = context.dir().join("out");
    let words = ["artifact", "pull", "--json", "-q", "-o", out.to_str().unwrap(), &name];
    let pulled = json(&context.run(words).expect_success());
    assert_eq!(pulled["files"][0]["directory"], true);
    assert_eq!(std::fs::read_to_string(out.join("site/style")).unwrap(), "p{}\n");
    assert_eq!(std::fs::read_to_string(out.join("notes.txt")).unwrap(), "hello\n");
    // Once more, over what is there.
    std::fs::write(out.join("site/index.html"), "old").unwrap();
    std::fs::write(out.join("site/mine"), "mine").unwrap();
    context.run(words).expect_success();
    assert_eq!(std::fs::read_to_string(out.join("site/index.html")).unwrap(), "<p>\n");
    assert!(out.join("site/mine").exists());
    // tar and gzip see the same: the annotation is the digest of what comes out of gzip.
    let Some(curl) = tool("curl") else { return };
    let url = format!("http://{}/v2/site/blobs/{}", registry.host(), layer["digest"].as_str().unwrap());
    let script = format!("{} -fsS {url} | gzip -dc > tar && tar -tf tar && sha256sum tar", curl.display());
    let listed =
        Output::of(program("sh").args(["-euc", &script]).current_dir(context.dir())).expect_success();
    let lines: Vec<&str> = listed.stdout.lines().collect();
    assert_eq!(lines[..5], ["site/", "site/css/", "site/css/a.css", "site/index.html", "site/style"]);
    let content = layer["annotations"]["io.deis.oras.content.digest"].as_str().unwrap();
    assert!(lines[5].starts_with(content.trim_start_matches("sha256:")), "{listed}");
}

/// Packs by tar what oras would pack, and pushes it by hand.
#[test]
fn a_directory_that_others_packed_is_unpacked_unless_it_leads_out() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("artifact-foreign");
    context.write("pack/site/a", "a\n");
    let dir = context.dir().join("pack");
    let name = registry.image("site:1");
    let push = |script: &str| {
        Output::of(program("sh").args(["-euc", script]).current_dir(&dir)).expect_success();
        let file = format!("{}:application/vnd.oci.image.layer.v1.tar+gzip", dir.join("t.tgz").display());
        context.run(["artifact", "push", "-q", &name, &file]).expect_success();
        let mut manifest = json(&context.run(["manifest", &name]).expect_success());
        let annotations = &mut manifest["layers"][0]["annotations"];
        annotations["org.opencontainers.image.title"] = "site".into();
        annotations["io.deis.oras.content.unpack"] = "true".into();
        let file = context.write("manifest.json", manifest.to_string());
        let mut put = program(tool("curl")?);
        put.args(["-fsS", "-X", "PUT", "-H", "Content-Type: application/vnd.oci.image.manifest.v1+json"]);
        let url = format!("http://{}/v2/site/manifests/1", registry.host());
        Output::of(put.arg("--data-binary").arg(format!("@{}", file.display())).arg(url)).expect_success();
        Some(())
    };
    let out = context.dir().join("deep/out");
    let words = ["artifact", "pull", "-q", "-o", out.to_str().unwrap(), &name];
    if push("tar -czf t.tgz site").is_none() {
        return;
    }
    context.run(words).expect_success();
    assert_eq!(std::fs::read_to_string(out.join("site/a")).unwrap(), "a\n");
    for script in [
        "echo x > up; tar -czPf t.tgz site ../pack/up",
        "ln -s /etc site/link; tar -czf t.tgz site",
        "rm site/link; echo x > other; tar -czf t.tgz other",
        "echo nonsense > t.tgz",
    ] {
        push(script);
        let refused = context.run(words).expect_code(3);
        assert!(!refused.stderr.is_empty());
        assert!(!out.join("other").exists() && !out.join("site/link").exists(), "{script}");
        assert_eq!(std::fs::read_dir(context.dir().join("deep")).unwrap().count(), 1);
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1, "nothing is left over");
    }
}

#[test]
fn files_of_an_artifact_stay_in_their_directory() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("artifact-out");
    let name = registry.image("evil:1");
    context.write("f", "x");
    let mut command = context.command(["artifact", "push", "-q", &name, "f"]);
    Output::of(command.current_dir(context.dir())).expect_success();
    let Some(curl) = tool("curl") else { return };
    for title in ["../up", "/etc/up", "a/../../up", ""] {
        let mut manifest = json(&context.run(["manifest", &name]).expect_success());
        manifest["layers"][0]["annotations"]["org.opencontainers.image.title"] = title.into();
        let file = context.write("manifest.json", manifest.to_string());
        let url = format!("http://{}/v2/evil/manifests/1", registry.host());
        let mut put = program(&curl);
        put.args(["-fsS", "-X", "PUT", "-H", "Content-Type: application/vnd.oci.image.manifest.v1+json"]);
        Output::of(put.arg("--data-binary").arg(format!("@{}", file.display())).arg(url)).expect_success();
        let out = context.dir().join("deep/out");
        let refused =
            context.run(["artifact", "pull", "-q", "-o", out.to_str().unwrap(), &name]).expect_code(3);
        assert!(refused.stderr.contains("outside"), "{refused}");
        assert!(!context.dir().join("deep").exists());
    }
    // Nor are links followed that are there.
    let out = context.dir().join("linked");
    std::fs::create_dir(&out).unwrap();
    std::os::unix::fs::symlink(context.dir(), out.join("way")).unwrap();
    let mut command = context.command(["artifact", "push", "-q", &name, "way/f"]);
    context.write("way/f", "x");
    Output::of(command.current_dir(context.dir())).expect_success();
    std::fs::remove_file(context.dir().join("f")).unwrap();
    context.run(["artifact", "pull", "-q", "-o", out.to_str().unwrap(), &name]).expect_code(1);
    assert!(!context.dir().join("f").exists());
}
