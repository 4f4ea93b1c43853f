//! The main job: a build is pushed to a real registry, read and run by others, and pulled back.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cooper_testkit::{
    Bundle, Context, Dockerd, Output, PASSWORD, Podman, Registry, USER, can_build, testdata, wait_for,
};
use serde_json::Value;

/// What a directory of `testdata/` must become.
struct Case {
    directory: &'static str,
    flags: &'static [&'static str],
    /// Files of the image, and text that must be in them.
    files: &'static [(&'static str, &'static str)],
    /// What stands in the config, by JSON pointer.
    config: &'static [(&'static str, &'static str)],
    /// Words after the entry point; none for the image's own.
    command: &'static [&'static str],
    /// What it prints then.
    prints: &'static str,
}

const GO: Case = Case {
    directory: "go-like",
    flags: &["--build-arg", "VERSION=1.2.3"],
    files: &[("usr/local/bin/server", ", 1.2.3")],
    config: &[
        ("/config/User", "\"app\""),
        ("/config/Entrypoint", "[\"/usr/local/bin/server\"]"),
        ("/config/Cmd", "[\"--listen\",\":8080\"]"),
        ("/config/ExposedPorts", "{\"8080/tcp\":{}}"),
        ("/config/Labels/org.opencontainers.image.title", "\"go-like\""),
    ],
    command: &[],
    prints: "server of ./cmd/server for linux/",
};

const NODE: Case = Case {
    directory: "node-like",
    flags: &[],
    files: &[("app/dist/index.js", "router.get"), ("app/node_modules/router/package.json", "router")],
    config: &[
        ("/config/User", "\"app\""),
        ("/config/WorkingDir", "\"/app\""),
        ("/config/Cmd", "[\"node\",\"dist/index.js\"]"),
        ("/config/Healthcheck/Retries", "3"),
    ],
    command: &["sh", "-c", "router && pwd && id -un && stat -c %U:%G dist/index.js"],
    prints: "router\n/app\napp\napp:app\n",
};

const PYTHON: Case = Case {
    directory: "python-like",
    flags: &[],
    files: &[
        ("app/gunicorn.conf.py", "bind = \"0.0.0.0:8000\"\nworkers = 2\n"),
        ("opt/venv/lib/python3.14/site-packages/falcon/copy.py", "__version__"),
    ],
    config: &[
        ("/config/User", "\"appuser\""),
        ("/config/Entrypoint", "[\"/entrypoint\"]"),
        ("/config/Volumes", "{\"/app/data\":{}}"),
    ],
    command: &[
        "sh",
        "-c",
        "id -u && stat -c '%U %h' /app/app/main.py /opt/venv/lib64/python3.14/site-packages/falcon/copy.py",
    ],
    prints: "10001\nappuser 1\nroot 2\n",
};

const NGINX: Case = Case {
    directory: "nginx-like",
    flags: &[],
    files: &[("usr/share/doc/nginx/version", "nginx=1.29.3-1~base\n"), ("etc/passwd", "nginx:x:101:101:")],
    config: &[("/config/StopSignal", "\"SIGQUIT\""), ("/config/ExposedPorts", "{\"80/tcp\":{}}")],
    command: &[],
    prints: "nginx version: nginx/1.29.3\n",
};

fn skopeo(context: &Context, arguments: &[&str]) -> Option<Output> {
    Some(Output::of(cooper_testkit::skopeo(context.dir())?.args(arguments)).expect_success())
}

/// Files with one line or JSON that a build writes.
fn metadata(context: &Context) -> Value {
    serde_json::from_str(&std::fs::read_to_string(context.dir().join("metadata")).unwrap()).unwrap()
}

fn build(context: &Context, case: &Case, arguments: &[&str]) -> Output {
    let metadata = format!("--metadata-file={}", context.dir().join("metadata").display());
    let project = testdata(case.directory);
    let mut words = case.flags.to_vec();
    words.extend(arguments);
    words.extend([metadata.as_str(), project.to_str().unwrap()]);
    context.build(words).expect_success()
}

fn check(case: &Case) {
    if !can_build() {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let context = Context::new(case.directory);
    let name = registry.image("app:1");
    build(&context, case, &["-t", &name, "--push"]);
    let digest = metadata(&context)["containerimage.digest"].as_str().unwrap().to_owned();
    if read_by_others(&context, case, &name, &digest).is_some() {
        run_by_others(&context, case, &name);
    }
    goes_round(&registry, &name, &digest);
}

/// skopeo sees what Cooper says it pushed.
fn read_by_others(context: &Context, case: &Case, name: &str, digest: &str) -> Option<()> {
    let source = format!("docker://{name}");
    let raw = skopeo(context, &["inspect", "--raw", "--tls-verify=false", &source])?;
    let manifest: Value = serde_json::from_str(&raw.stdout).unwrap();
    assert_eq!(manifest["schemaVersion"], 2, "{raw}");
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    for layer in manifest["layers"].as_array().unwrap() {
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
        assert_eq!(layer.get("annotations"), None, "nothing of our store leaves it");
    }
    let seen = skopeo(context, &["inspect", "--format={{.Digest}}", "--tls-verify=false", &source])?;
    assert_eq!(seen.stdout.trim(), digest);
    let config = skopeo(context, &["inspect", "--config", "--raw", "--tls-verify=false", &source])?;
    let config: Value = serde_json::from_str(&config.stdout).unwrap();
    for (pointer, want) in case.config {
        let got = config.pointer(pointer).map(Value::to_string);
        assert_eq!(got.as_deref(), Some(*want), "{pointer} of {config}");
    }
    let layers = manifest["layers"].as_array().unwrap().len();
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), layers);
    let history = config["history"].as_array().unwrap();
    assert_eq!(history.iter().filter(|entry| entry["empty_layer"] != true).count(), layers, "{config}");
    Some(())
}

/// umoci unpacks it, and runc and podman run it, as far as they can here.
fn run_by_others(context: &Context, case: &Case, name: &str) -> Option<()> {
    let layout = format!("oci:{}:1", context.dir().join("layout").display());
    skopeo(context, &["copy", "-q", "--src-tls-verify=false", &format!("docker://{name}"), &layout])?;
    let image = layout.trim_start_matches("oci:");
    if let Some(bundle) = Bundle::unpack(image, &context.dir().join("bundle")) {
        for (file, want) in case.files {
            let text =
                std::fs::read_to_string(bundle.root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            assert!(text.contains(want), "{file}: {text}");
        }
        if let Some(output) = bundle.run(&words(&bundle, case)) {
            assert!(output.expect_success().stdout.contains(case.prints));
        }
    }
    let podman = Podman::new(context.dir())?;
    let output = podman.run(&format!("docker://{name}"), case.command).expect_success();
    assert!(output.stdout.contains(case.prints), "{output}");
    Some(())
}

/// The case's command behind the entry point, which stands first in the bundle.
fn words(bundle: &Bundle, case: &Case) -> Vec<String> {
    if case.command.is_empty() {
        return Vec::new();
    }
    let own: Vec<String> = serde_json::from_value(bundle.config()["process"]["args"].clone()).unwrap();
    let has_entrypoint = case.config.iter().any(|(pointer, _)| *pointer == "/config/Entrypoint");
    let entry = own.into_iter().take(usize::from(has_entrypoint));
    entry.chain(case.command.iter().map(|word| (*word).to_owned())).collect()
}

/// How many blobs the registry received.
fn uploads(registry: &Registry) -> usize {
    registry.requests("PUT", "/blobs/uploads/")
}

/// Pulled into an empty store it is the same, and pushed from there nothing needs to be sent.
fn goes_round(registry: &Registry, name: &str, digest: &str) {
    let other = Context::new("pulls");
    let pulled = other.run(["pull", "-q", name]).expect_success();
    assert_eq!(pulled.stdout.trim(), digest);
    let inspected: Value =
        serde_json::from_str(&other.run(["inspect", name]).expect_success().stdout).unwrap();
    assert_eq!(inspected[0]["digest"], digest);
    let sent = uploads(registry);
    assert!(sent > 0);
    let pushed = other.run(["push", "-q", name]).expect_success();
    assert_eq!(pushed.stdout.trim(), digest);
    assert_eq!(uploads(registry), sent, "what is there is not sent again");
    // Under another name of the same registry blobs are mounted, not sent.
    let second = registry.image("elsewhere/app:2");
    other.run(["tag", name, &second]).expect_success();
    assert_eq!(other.run(["push", "-q", &second]).expect_success().stdout.trim(), digest);
    let more = uploads(registry) - sent;
    assert!(more <= 1, "at most the config may be sent again, not {more} blobs");
}

#[test]
fn a_go_service() {
    check(&GO);
}

#[test]
fn a_node_service() {
    check(&NODE);
}

#[test]
fn a_python_service() {
    check(&PYTHON);
}

#[test]
fn a_web_server() {
    check(&NGINX);
}

#[test]
fn a_base_image_comes_from_the_registry() {
    if !can_build() {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let (here, there) = (Context::new("base"), Context::new("derived"));
    let (base, name) = (registry.image("team/base:1"), registry.image("team/app:1"));
    build(&here, &NGINX, &["-t", &base, "--push"]);
    let dockerfile = format!("FROM {base}\nRUN cat /usr/share/doc/nginx/version > /version\n");
    let file = there.write("app/Dockerfile", dockerfile);
    let sent = uploads(&registry);
    there.build(["-t", &name, "--push", file.parent().unwrap().to_str().unwrap()]).expect_success();
    let more = uploads(&registry) - sent;
    assert_eq!(more, 2, "the base's layers are mounted, one layer and the config are sent");
    let manifest = |name: &str| {
        let raw = skopeo(&there, &["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")])?;
        let manifest: Value = serde_json::from_str(&raw.stdout).unwrap();
        Some(manifest["layers"].as_array().unwrap().clone())
    };
    let (Some(base), Some(derived)) = (manifest(&base), manifest(&name)) else { return };
    assert_eq!(derived[..base.len()], base[..]);
    assert_eq!(derived.len(), base.len() + 1);
}

fn login(context: &Context, registry: &Registry, password: &str) -> (Option<i32>, String) {
    let mut command = context.command(["login", "-u", USER, "--password-stdin", &registry.host()]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_push_needs_a_login() {
    if !can_build() {
        return;
    }
    let Some(registry) = Registry::start_with_password() else { return };
    let context = Context::new("password");
    let name = registry.image("app:1");
    let project = testdata("go-like");
    let push = || context.build(["-t", &name, "--push", project.to_str().unwrap()]);
    let refused = push().expect_code(3);
    assert!(refused.stderr.contains(&registry.host()), "the registry is named: {refused}");
    assert!(refused.stderr.contains("cooper login"), "what to do is said: {refused}");
    let (code, said) = login(&context, &registry, "wrong horse");
    assert_eq!(code, Some(3), "{said}");
    assert!(!said.contains("wrong horse"), "a password is never shown: {said}");
    push().expect_code(3);
    let (code, said) = login(&context, &registry, PASSWORD);
    assert_eq!(code, Some(0), "{said}");
    push().expect_success();
    context.run(["pull", "-q", &name]).expect_success();
    context.run(["logout", &registry.host()]).expect_success();
    push().expect_code(3);
}

/// Builds with `--load` and gives the directory for the engine's client.
fn load(context: &Context, offer: impl Fn(&mut Command)) {
    let project = testdata(NGINX.directory);
    let mut command = context.build_command(["-t", "demo/web:1", "--load", project.to_str().unwrap()]);
    offer(&mut command);
    Output::of(&mut command).expect_success();
}

#[test]
fn podman_loads_and_runs() {
    if !can_build() {
        return;
    }
    let context = Context::new("podman");
    let Some(podman) = Podman::new(context.dir()) else { return };
    load(&context, |command| {
        podman.offer_to(command);
    });
    let output = podman.run("docker.io/demo/web:1", &[]).expect_success();
    assert!(output.stdout.contains(NGINX.prints), "{output}");
    assert!(output.stdout.contains("workers: "), "the entry point's scripts ran: {output}");
}

#[test]
fn docker_loads_and_runs() {
    if !can_build() {
        return;
    }
    let context = Context::new("dockerd");
    let Some(docker) = Dockerd::start(context.dir()) else { return };
    load(&context, |command| {
        docker.offer_to(command);
    });
    let output = docker.run("demo/web:1", &[]).expect_success();
    assert!(output.stdout.contains(NGINX.prints), "{output}");
    only_what_docker_lacks_is_sent(&context, &docker);
}

/// Loads an image of two layers, then one with another second layer, then that one again.
fn only_what_docker_lacks_is_sent(context: &Context, docker: &Dockerd) {
    let build = |second: &str| {
        let dockerfile = format!("FROM scratch\nCOPY big /big\nCOPY {second} /second\n");
        let project = context.write("layers/Dockerfile", &dockerfile);
        let project = project.parent().unwrap().to_str().unwrap().to_owned();
        let mut command = context.command(["build", "-q", "--load", "-t", "layers:1", &project]);
        docker.offer_to(&mut command);
        Output::of(&mut command).expect_success().stdout.trim().to_owned()
    };
    let held = || {
        let format = "{{.Id}} {{len .RootFS.Layers}}";
        let mut command = docker.command(["image", "inspect", "--format", format, "layers:1"]);
        Output::of(&mut command).expect_success().stdout.trim().to_owned()
    };
    context.write("layers/big", "the first layer\n");
    context.write("layers/one", "1\n");
    context.write("layers/two", "2\n");
    let first = build("one");
    assert_eq!(held(), format!("{first} 2"));
    let second = build("two");
    assert_ne!(first, second);
    assert_eq!(held(), format!("{second} 2"));
    assert_eq!(build("two"), second);
    // The files of both layers are there, the one that was not sent again too.
    let saved =
        Output::of(docker.command(["save", "-o"]).arg(context.dir().join("saved.tar")).arg("layers:1"));
    saved.expect_success();
    let archive = std::fs::read(context.dir().join("saved.tar")).unwrap();
    for text in ["the first layer\n", "2\n"] {
        assert!(archive.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
    }
}

#[test]
fn without_an_engine_load_says_so() {
    if !can_build() {
        return;
    }
    let context = Context::new("no-engine");
    let empty: PathBuf = context.dir().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let project = context.write("app/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    let project: &Path = project.parent().unwrap();
    let mut command = context.command(["build", "--load", "-t", "demo:1", project.to_str().unwrap()]);
    // Cooper itself may need newuidmap.
    let path = if cooper_testkit::is_root() { empty } else { PathBuf::from("/usr/bin") };
    command
        .env("PATH", path)
        .env("DOCKER_HOST", "unix:///no/such/socket")
        .env("CONTAINERS_STORAGE_CONF", "/dev/null/x");
    let output = Output::of(&mut command);
    if cooper_testkit::is_root() {
        assert!(output.expect_code(78).stderr.contains("--load needs a container engine"));
    }
}

#[test]
fn what_a_registry_has_is_not_sent_again_and_what_it_lost_is() {
    if !can_build() {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("again");
    context.write("project/a", "a file");
    let name = registry.image("app:1");
    let platforms = "--platform=linux/amd64,linux/arm64";
    let push = || context.build_text("FROM scratch\nCOPY a /\n", &["-t", &name, platforms, "--push"]);
    // The registry notes a request when it has answered it.
    let stored = |count| {
        let counted = || registry.requests("PUT", "app/manifests/") == count;
        assert!(wait_for(Duration::from_mins(1), counted), "{count}: {}", registry.log());
    };
    push();
    stored(3);
    push();
    stored(3);
    let image = context.run(["manifest", "--platform=linux/arm64", &name]).expect_success().stdout;
    let image: Value = serde_json::from_str(&image).unwrap();
    let layer = image["layers"][0]["digest"].as_str().unwrap();
    registry.lose(layer);
    push();
    Context::new("again-pull").run(["pull", &name]).expect_success();
    // Another name for the same: only that is new.
    let other = registry.image("app:2");
    context.build_text("FROM scratch\nCOPY a /\n", &["-t", &other, platforms, "--push"]);
    assert!(wait_for(Duration::from_mins(1), || registry.requests("PUT", "app/manifests/2") == 1));
    assert_eq!(registry.requests("PUT", "app/manifests/1"), 2);
}
