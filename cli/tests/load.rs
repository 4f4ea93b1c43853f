//! `--load` of an image whose last step is a large COPY: Docker gets that layer while it is made.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cooper_testkit::{Context, Dockerd, Output, Podman, can_build, program, tool, wait_for};

/// Large enough to be given away before it is whole.
const BIG_BYTES: usize = 17 << 20;

/// A project with a large file. Its image prints the file's size and another file.
fn project(context: &Context, small: &str) -> PathBuf {
    context.write("app/files/big", vec![7; BIG_BYTES]);
    context.write("app/files/small", small);
    let command = "CMD [\"sh\", \"-c\", \"wc -c < /app/big; cat /app/small\"]";
    let dockerfile = format!("FROM busybox\n{command}\nCOPY files /app\n");
    context.write("app/Dockerfile", dockerfile).parent().unwrap().to_owned()
}

/// Puts a script in the way of the client: `$docker` in it is the real one.
fn in_the_way(context: &Context, script: &str) -> std::ffi::OsString {
    let docker = tool("docker").unwrap();
    let path = context.write("bin/docker", format!("#!/bin/sh\ndocker={}\n{script}", docker.display()));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let mut paths = vec![path.parent().unwrap().to_owned()];
    paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    std::env::join_paths(paths).unwrap()
}

/// Builds with `--load`. The image's ID.
fn load(context: &Context, docker: &Dockerd, app: &Path, script: &str) -> String {
    let mut command = context.build_command(["-q", "-t", "big:1", "--load", app.to_str().unwrap()]);
    docker.offer_to(&mut command).env("PATH", in_the_way(context, script));
    Output::of(&mut command).expect_success().stdout.trim().to_owned()
}

fn prints(docker: &Dockerd, small: &str) {
    let printed = docker.run("big:1", &[]).expect_success().stdout;
    assert_eq!(printed, format!("{BIG_BYTES}\n{small}"));
}

fn snapshots(context: &Context) -> usize {
    std::fs::read_dir(context.store().join("snapshots")).unwrap().count()
}

#[test]
fn docker_has_what_was_built() {
    if !can_build() {
        return;
    }
    let context = Context::new("load");
    let Some(docker) = Dockerd::start(context.dir()) else { return };
    let app = project(&context, "one\n");
    let sent = context.dir().join("sent");
    let keep = format!(
        "[ \"$1\" = load ] || exec $docker \"$@\"\necho >> {0}-count\ntee {0} | $docker \"$@\"\n",
        sent.display()
    );
    let id = load(&context, &docker, &app, &keep);
    let inspect = ["image", "inspect", "--format", "{{.Id}}", "big:1"];
    let held = Output::of(&mut docker.command(inspect)).expect_success().stdout;
    assert_eq!(held.trim(), id);
    prints(&docker, "one\n");
    let loads = || std::fs::read_to_string(sent.with_file_name("sent-count")).unwrap().lines().count();
    assert_eq!(loads(), 1);
    // That of the base image: the files were never written.
    assert_eq!(snapshots(&context), 1);

    // What is known already is not given again.
    assert_eq!(load(&context, &docker, &app, &keep), id);
    assert_eq!(loads(), 1);
    // Once it is gone, it comes from the store.
    Output::of(&mut docker.command(["rmi", "-f", "big:1"])).expect_success();
    assert_eq!(load(&context, &docker, &app, &keep), id);
    prints(&docker, "one\n");
    others_read(&context, &docker, &sent);
}

/// Engines that keep images as containerd does, and Podman, read what Docker was given.
fn others_read(context: &Context, docker: &Dockerd, sent: &Path) {
    if let Some(ctr) = tool("ctr") {
        let mut command = program(ctr);
        command.arg("--address").arg(docker.containerd()).args(["--namespace", "load", "images"]);
        let imported = Output::of(command.arg("import").arg(sent)).expect_success();
        assert!(imported.stdout.contains("docker.io/library/big:1"), "{imported}");
    }
    let Some(podman) = Podman::new(context.dir()) else { return };
    Output::of(podman.command(["load", "-i"]).arg(sent)).expect_success();
    let printed = podman.run("docker.io/library/big:1", &[]).expect_success().stdout;
    assert_eq!(printed, format!("{BIG_BYTES}\none\n"));
}

#[test]
fn an_engine_that_breaks_off_gets_it_again() {
    if !can_build() {
        return;
    }
    let context = Context::new("load-again");
    let Some(docker) = Dockerd::start(context.dir()) else { return };
    let once = context.dir().join("once");
    let broken = format!(
        "[ \"$1\" = load ] && [ ! -e {0} ] && touch {0} && head -c 100000 > /dev/null && exit 1\nexec $docker \"$@\"\n",
        once.display()
    );
    load(&context, &docker, &project(&context, "again\n"), &broken);
    assert!(once.exists());
    prints(&docker, "again\n");
}

#[test]
fn a_build_that_is_killed_leaves_nothing_in_the_engine() {
    if !can_build() {
        return;
    }
    let context = Context::new("load-killed");
    let Some(docker) = Dockerd::start(context.dir()) else { return };
    let app = project(&context, "killed\n");
    let ended = context.dir().join("ended");
    let kill = format!(
        "[ \"$1\" = load ] || exec $docker \"$@\"\nkill -9 $PPID\n$docker \"$@\" 2> /dev/null\necho $? > {}\n",
        ended.display()
    );
    let mut command = context.build_command(["-q", "-t", "big:1", "--load", app.to_str().unwrap()]);
    docker.offer_to(&mut command).env("PATH", in_the_way(&context, &kill));
    assert!(!Output::of(&mut command).success());
    assert!(wait_for(Duration::from_mins(1), || ended.metadata().is_ok_and(|m| m.len() > 1)));
    assert_ne!(std::fs::read_to_string(&ended).unwrap(), "0\n");
    let images = Output::of(&mut docker.command(["images", "-q", "-a"])).expect_success();
    assert_eq!(images.stdout, "");
    load(&context, &docker, &app, "exec $docker \"$@\"\n");
    prints(&docker, "killed\n");
}
