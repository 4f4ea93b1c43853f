//! `cooper build` as a user calls it: real Dockerfiles, results, outputs, exit codes.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::Stdio;

use cooper_testkit::{Context, Output, Unprivileged, skip, testdata};

/// Whether steps can run on this machine; says why not.
fn can_build() -> bool {
    let doctor = Context::new("doctor").run(["doctor"]);
    if !doctor.success() {
        skip(&format!("steps cannot run here: {}", doctor.stderr.trim()));
    }
    doctor.success()
}

/// Builds a directory of `testdata/` and gives the files of the result.
fn export(context: &Context, name: &str, flags: &[&str]) -> std::path::PathBuf {
    let dest = context.dir().join(format!("{name}-out"));
    let output = format!("type=local,dest={}", dest.display());
    let project = testdata(name);
    let mut arguments = vec!["--output", &output];
    arguments.extend(flags);
    arguments.push(project.to_str().unwrap());
    context.build(arguments).expect_success();
    dest
}

fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn a_go_service() {
    if !can_build() {
        return;
    }
    let context = Context::new("go");
    let out = export(&context, "go-like", &["--build-arg", "VERSION=1.2.3"]);
    let server = read(&out.join("usr/local/bin/server"));
    assert!(server.contains("./cmd/server for linux/") && server.contains(", 1.2.3"), "{server}");
    assert!(!out.join("src").exists(), "sources stay in the build stage");
}

#[test]
fn a_node_service() {
    if !can_build() {
        return;
    }
    let context = Context::new("node");
    let out = export(&context, "node-like", &[]);
    assert!(out.join("app/node_modules/router/package.json").is_file());
    assert!(!out.join("app/node_modules/builder").exists(), "development packages stay in the build stage");
    assert_eq!(
        std::fs::read_link(out.join("app/node_modules/.bin/router")).unwrap().to_str(),
        Some("../router/cli.js")
    );
    assert!(read(&out.join("app/dist/index.js")).contains("router.get"));
}

#[test]
fn a_python_service() {
    if !can_build() {
        return;
    }
    let context = Context::new("python");
    let out = export(&context, "python-like", &[]);
    assert!(out.join("opt/venv/lib/python3.14/site-packages/falcon/__init__.py").is_file());
    assert_eq!(read(&out.join("app/gunicorn.conf.py")), "bind = \"0.0.0.0:8000\"\nworkers = 2\n");
    assert_eq!(read(&out.join("app/entry")), "#!/bin/sh\nexec \"$@\"\n");
    assert!(read(&out.join("etc/passwd")).contains("appuser:x:10001:"));
}

#[test]
fn a_web_server() {
    if !can_build() {
        return;
    }
    let context = Context::new("nginx");
    let out = export(&context, "nginx-like", &[]);
    let log = std::fs::read_link(out.join("var/log/nginx/access.log")).unwrap();
    assert_eq!(log.to_str(), Some("/dev/stdout"));
    assert!(read(&out.join("etc/passwd")).contains("nginx:x:101:101:"));
    assert_eq!(read(&out.join("usr/share/doc/nginx/version")), "nginx=1.29.3-1~base\n");
}

#[test]
fn a_second_build_is_cached_and_gives_the_same_image() {
    if !can_build() {
        return;
    }
    let context = Context::new("twice");
    let project = testdata("nginx-like");
    let id = |n: u32| context.dir().join(format!("id{n}"));
    let build = |n: u32| {
        let file = format!("--iidfile={}", id(n).display());
        context.build([file.as_str(), project.to_str().unwrap()]).expect_success()
    };
    let (first, second) = (build(1), build(2));
    assert!(first.stderr.contains("DONE"), "{first}");
    assert!(!second.stderr.contains("DONE"), "everything is cached: {second}");
    assert_eq!(read(&id(1)), read(&id(2)));
}

#[test]
fn an_unprivileged_user_builds_too() {
    let Some(user) = Unprivileged::new() else { return };
    let base = user.give(&testdata("base"), "base");
    let project = user.give(&testdata("nginx-like"), "project");
    let out = user.dir().join("out.tar");
    let mut command = user.command(user.cooper());
    command.args(["build", "--progress=plain", "--build-context"]);
    command.arg(format!("busybox=oci-layout://{}", base.display()));
    command.arg(format!("--output=type=tar,dest={}", out.display())).arg(project);
    Output::of(&mut command).expect_success();
    assert!(out.is_file());
}

#[test]
fn a_failing_step_shows_its_last_line_its_place_and_code_1() {
    if !can_build() {
        return;
    }
    let context = Context::new("failing");
    context.write("Dockerfile", "FROM busybox\nRUN seq 5000; echo the last words >&2; exit 7\n");
    let output = context.build([context.dir()]).expect_code(1);
    let words = output.stderr.find("the last words").unwrap();
    let excerpt = output.stderr.find("--> Dockerfile:2").unwrap_or_else(|| panic!("{output}"));
    assert!(words < excerpt, "{output}");
    assert!(output.stderr.contains("2 | RUN seq 5000"), "{output}");
    assert!(output.stderr.contains('7'), "the exit code is told: {output}");
    assert!(output.stderr.lines().any(|l| l.ends_with(" 4999")), "plain output is whole: {output}");
}

#[test]
fn without_progress_the_end_of_the_output_is_shown_and_the_rest_is_kept() {
    if !can_build() {
        return;
    }
    let context = Context::new("quiet-failing");
    context.write("Dockerfile", "FROM busybox\nRUN seq 5000; exit 7\n");
    let output = context.build(["--progress=none", context.dir().to_str().unwrap()]).expect_code(1);
    let lines: Vec<_> = output.stderr.lines().collect();
    assert!(lines.contains(&"5000") && lines.contains(&"4901") && !lines.contains(&"4900"), "{output}");
    let note = lines.iter().find(|l| l.contains("4900 earlier lines")).unwrap_or_else(|| panic!("{output}"));
    let file = note.rsplit_once(": ").unwrap().1.trim_end_matches(']');
    let whole = read(std::path::Path::new(file));
    std::fs::remove_file(file).unwrap();
    assert_eq!(whole.lines().count(), 5000);
}

#[test]
fn quiet_prints_the_image_id_that_the_files_have() {
    if !can_build() {
        return;
    }
    let context = Context::new("quiet");
    context.write("Dockerfile", "FROM busybox\nCOPY Dockerfile /\n");
    let (id, metadata) = (context.dir().join("id"), context.dir().join("metadata.json"));
    let output = context.build([
        "-q",
        "-t",
        "demo:1",
        "--iidfile",
        id.to_str().unwrap(),
        "--metadata-file",
        metadata.to_str().unwrap(),
        context.dir().to_str().unwrap(),
    ]);
    let output = output.expect_success();
    assert_eq!(output.stderr, "", "{output}");
    assert_eq!(output.stdout.trim(), read(&id));
    let metadata: serde_json::Value = serde_json::from_str(&read(&metadata)).unwrap();
    assert_eq!(metadata["containerimage.config.digest"], output.stdout.trim());
    assert_eq!(metadata["containerimage.descriptor"]["digest"], metadata["containerimage.digest"]);
    assert!(metadata["image.name"].as_str().unwrap().contains("demo:1"));
}

#[test]
fn a_tar_on_standard_output_is_nothing_but_a_tar() {
    if !can_build() {
        return;
    }
    let context = Context::new("stdout");
    context.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /file\n");
    let mut command = context.build_command(["-q", "-o", "-", context.dir().to_str().unwrap()]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(&output.stdout[257..262], b"ustar");
    assert!(output.stdout.ends_with(&[0; 1024]));
}

#[test]
fn a_dockerfile_on_standard_input() {
    if !can_build() {
        return;
    }
    let context = Context::new("stdin");
    let out = context.dir().join("out");
    let mut command = context.build_command(["-o", out.to_str().unwrap(), "-"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"FROM busybox\nRUN echo hello > /greeting\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(read(&out.join("greeting")), "hello\n");
}

#[test]
fn wrong_command_lines_end_with_code_2_and_name_the_flag() {
    let context = Context::new("usage");
    context.write("Dockerfile", "FROM scratch\n");
    let table: &[(&[&str], &str)] = &[
        (&["--sbom=true"], "cooper: --sbom is not supported yet"),
        (&["--cache-to", "type=inline"], "cooper: --cache-to is not supported yet"),
        (&["--push"], "tag is needed when pushing to registry"),
        (&["--platform", "a/b/c/d"], "--platform"),
        (&["--nonsense"], "--nonsense"),
    ];
    for (flags, want) in table {
        let mut arguments = flags.to_vec();
        arguments.push(context.dir().to_str().unwrap());
        let output = context.build(arguments).expect_code(2);
        assert!(output.stderr.contains(want), "{output}");
    }
    assert!(!context.store().exists(), "nothing was begun");
}

#[test]
fn a_missing_context_is_the_users_fault() {
    let context = Context::new("no-context");
    let output = context.build(["/no/such/directory"]).expect_code(1);
    assert!(
        output.stderr.contains("unable to prepare context: path \"/no/such/directory\" not found"),
        "{output}"
    );
}

#[test]
fn a_mistake_in_the_dockerfile_is_shown_in_its_line() {
    let context = Context::new("mistake");
    context.write("Dockerfile", "FROM scratch\nCOPPY a b\n");
    let output = context.build([context.dir()]).expect_code(1);
    for part in ["COPPY", "--> Dockerfile:2:1", "2 | COPPY a b"] {
        assert!(output.stderr.contains(part), "{part}: {output}");
    }
}
