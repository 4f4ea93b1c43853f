//! Build contexts from elsewhere, as the command line takes them.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use cooper_testkit::{Context, Output, program};

fn git(dir: &Path, arguments: &[&str]) {
    let mut command = program("git");
    command.current_dir(dir).args(["-c", "user.name=a", "-c", "user.email=a@test"]).args(arguments);
    Output::of(&mut command).expect_success();
}

#[test]
fn a_tar_comes_by_standard_input() {
    let context = Context::new("stdin-tar");
    context.write("project/a.txt", "from a tar");
    context.write("project/in/Dockerfile", "FROM scratch\nCOPY a.txt /\n");
    let mut pack = program("tar");
    pack.current_dir(context.dir()).args(["-czf", "project.tgz", "-C", "project", "."]);
    Output::of(&mut pack).expect_success();
    let archive = std::fs::File::open(context.dir().join("project.tgz")).unwrap();
    let output = format!("type=local,dest={}", context.dir().join("out").display());
    let mut build = context.command(["build", "-f", "in/Dockerfile", "--output", &output, "-"]);
    let built = build.stdin(archive).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    assert_eq!(std::fs::read_to_string(context.dir().join("out/a.txt")).unwrap(), "from a tar");
}

#[test]
fn a_repository_by_ssh_uses_the_agent_and_known_hosts_only() {
    let context = Context::new("git-ssh");
    context.write("git/app.git/Dockerfile", "FROM scratch\nCOPY . /\n");
    let repository = context.dir().join("git/app.git");
    git(&repository, &["init", "--quiet", "-b", "main", "."]);
    git(&repository, &["add", "-A"]);
    git(&repository, &["commit", "--quiet", "-m", "x"]);
    // In the place of ssh: notes how it was called and does what it was to do at the other end.
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$SSH_AUTH_SOCK\" \"$@\" >> {0}/called\nfor last; do :; done\ncd {0}/git && eval \"$last\"\n",
        context.dir().display()
    );
    let ssh = context.write("bin/ssh", script);
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
    let agent = context.dir().join("agent.sock");
    let _listener = UnixListener::bind(&agent).unwrap();
    let path = format!("{}:{}", context.dir().join("bin").display(), std::env::var("PATH").unwrap());
    let output = format!("type=local,dest={}", context.dir().join("out").display());
    let ssh_flag = format!("default={}", agent.display());
    let mut build = context.command(["build", "--ssh", &ssh_flag, "--output", &output, "git@h.test:app.git"]);
    build.env("PATH", path).stdin(Stdio::null());
    Output::of(&mut build).expect_success();
    assert!(context.dir().join("out/Dockerfile").is_file());
    let called = std::fs::read_to_string(context.dir().join("called")).unwrap();
    let lines: Vec<&str> = called.lines().collect();
    assert_eq!(lines[0], agent.to_str().unwrap());
    let known_hosts = format!("UserKnownHostsFile=\"{}/.ssh/known_hosts\"", context.dir().display());
    for want in
        ["/dev/null", "BatchMode=yes", "StrictHostKeyChecking=yes", known_hosts.as_str(), "git@h.test"]
    {
        assert!(lines.contains(&want), "{want}: {called}");
    }
}

#[test]
fn a_broken_archive_is_told_with_its_place() {
    let context = Context::new("stdin-broken");
    let mut build = context.command(["build", "-"]);
    let mut child = build.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"\x1f\x8b\x08 and no more of it").unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("cannot unpack the build context: the archive on standard input"), "{told}");
}
