//! Stopped and failing builds: nothing stays behind, and the reason is told.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use cooper_testkit::{Context, Output, can_build, mounts_with, processes_with, program, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);

/// A build whose RUN has begun: a background process, a process that ignores signals, a mount.
struct Running {
    context: Context,
    process: Child,
    marker: String,
}

fn start(name: &str) -> Running {
    let context = Context::new(name);
    // An argument that no other process has.
    let marker = format!("{}{}", std::process::id(), context.dir().file_name().unwrap().to_string_lossy());
    let text = format!(
        "FROM busybox\nRUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t \\\n    \
         sh -c 'trap \"\" INT TERM HUP; echo started; while :; do sleep 1000; done' {marker} & \\\n    \
         setsid sh -c 'while :; do sleep 1000; done' {marker} & wait\n"
    );
    let file = context.write("app/Dockerfile", text);
    let mut command = context.build_command([file.parent().unwrap()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let begun = lines.by_ref().any(|line| line.unwrap().ends_with(" started"));
    assert!(begun, "the step did not begin");
    // What follows must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    assert!(wait_for(PATIENCE, || processes_with(&marker).len() >= 2), "{:?}", processes_with(&marker));
    Running { context, process, marker }
}

impl Running {
    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        Output::of(program("kill").args(["-s", name, &pid])).expect_success();
    }

    /// No process, no mount, and the store works.
    fn nothing_is_left(self) {
        assert!(
            wait_for(PATIENCE, || processes_with(&self.marker).is_empty()),
            "{:?}",
            processes_with(&self.marker)
        );
        let store = self.context.store().display().to_string();
        assert!(wait_for(PATIENCE, || processes_with(&store).is_empty()), "{:?}", processes_with(&store));
        assert!(wait_for(PATIENCE, || mounts_with(&store).is_empty()), "{:?}", mounts_with(&store));
        let file = self.context.write("next/Dockerfile", "FROM busybox\nRUN echo works\n");
        self.context.build([file.parent().unwrap()]).expect_success();
        self.context.run(["prune", "--all"]).expect_success();
        let left = std::fs::read_dir(self.context.store().join("tmp")).unwrap().count();
        assert_eq!(left, 0, "half-made things are swept up");
    }
}

#[test]
fn ctrl_c_ends_everything() {
    if !can_build() {
        return;
    }
    let mut running = start("sigint");
    running.signal("INT");
    assert_eq!(running.process.wait().unwrap().code(), Some(130));
    // Told at once: when it says it has ended, it has.
    assert_eq!(processes_with(&running.marker), Vec::<String>::new());
    running.nothing_is_left();
}

#[test]
fn a_service_manager_may_stop_it() {
    if !can_build() {
        return;
    }
    let mut running = start("sigterm");
    running.signal("TERM");
    assert_eq!(running.process.wait().unwrap().code(), Some(130));
    running.nothing_is_left();
}

#[test]
fn sigkill_ends_everything() {
    if !can_build() {
        return;
    }
    let mut running = start("sigkill");
    running.process.kill().unwrap();
    assert!(!running.process.wait().unwrap().success());
    running.nothing_is_left();
}

fn failing(name: &str, text: &str) -> (Output, PathBuf) {
    let context = Context::new(name);
    let file = context.write("app/Dockerfile", text);
    (context.build([file.parent().unwrap()]), file)
}

#[test]
fn a_failing_step_shows_all_its_output_and_its_place() {
    if !can_build() {
        return;
    }
    let (output, _) = failing(
        "failing",
        "FROM busybox\n\n# before\nRUN for i in $(seq 1 3000); do echo line $i; done \\\n    && echo last >&2 && exit 42\n",
    );
    let output = output.expect_code(1);
    for n in [1, 1500, 3000] {
        let wanted = format!(" line {n}");
        assert!(output.stderr.lines().any(|l| l.ends_with(&wanted)), "line {n} is not shown");
    }
    let tail: String = output.stderr.lines().rev().take(20).collect::<Vec<_>>().join("\n");
    assert!(output.stderr.contains(" last\n"), "{tail}");
    assert!(tail.contains("exit code: 42") || tail.contains("exit code 42"), "{tail}");
    assert!(tail.contains("Dockerfile:4"), "the place is told: {tail}");
    assert!(tail.contains("&& echo last >&2 && exit 42"), "the lines are shown: {tail}");
}

#[test]
fn a_failure_stops_its_neighbours() {
    if !can_build() {
        return;
    }
    let marker = format!("neighbour{}", std::process::id());
    let (output, _) = failing(
        "neighbour",
        &format!(
            "FROM busybox AS fifo\nRUN --mount=type=cache,id=m,target=/m mkfifo /m/f; touch /ready\n\
             FROM busybox AS slow\nCOPY --from=fifo /ready /\n\
             RUN --mount=type=cache,id=m,target=/m echo > /m/f && sh -c 'while :; do sleep 1000; done' {marker}\n\
             FROM busybox AS bad\nCOPY --from=fifo /ready /\n\
             RUN --mount=type=cache,id=m,target=/m timeout 60 cat /m/f && echo giving up && exit 3\n\
             FROM scratch\nCOPY --from=slow / /\nCOPY --from=bad / /\n"
        ),
    );
    let output = output.expect_code(1);
    assert!(output.stderr.contains("giving up"), "{output}");
    assert_eq!(processes_with(&marker), Vec::<String>::new(), "{output}");
}

#[test]
fn git_ends_with_us_even_when_we_are_killed() {
    if cooper_testkit::tool("git").is_none() {
        return;
    }
    let context = Context::new("git-killed");
    // Takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/app.git", silent.local_addr().unwrap());
    let mut command = context.command(["build", "--progress=plain", &url]);
    let mut process = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (connection, _) = silent.accept().unwrap();
    // Git itself, and the program that it has for this transport.
    let of_git = || processes_with(&url).into_iter().filter(|line| line.contains("git")).count();
    assert!(wait_for(PATIENCE, || of_git() >= 3), "{:?}", processes_with(&url));
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(wait_for(PATIENCE, || processes_with(&url).is_empty()), "{:?}", processes_with(&url));
    drop(connection);
}
