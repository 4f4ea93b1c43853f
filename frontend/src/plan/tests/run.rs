//! RUN without its mounts.

use super::*;
use crate::graph::NetworkMode;

fn run_of(text: &str) -> RunOp {
    let graph = planned(text);
    runs(&graph).last().copied().unwrap().clone()
}

#[test]
fn shell_and_exec_forms() {
    assert_eq!(run_of("FROM busybox\nRUN a  b\n").argv, ["/bin/sh", "-c", "a  b"]);
    assert_eq!(run_of("FROM busybox\nENV V=1\nRUN [\"$V\", \"\", \"&&\"]\n").argv, ["$V", "", "&&"]);
    assert_eq!(run_of("FROM busybox\nRUN\n").argv, ["/bin/sh", "-c", ""]);
    assert_eq!(run_of("FROM busybox\nRUN --network=none\n").argv, ["/bin/sh", "-c", ""]);
    assert_eq!(run_of("FROM busybox\nRUN ['true']\n").argv, ["/bin/sh", "-c", "['true']"]);
}

#[test]
fn the_process_is_complete() {
    let run = run_of("FROM busybox\nENV Z=1 A=\"3 4\"\nUSER app:staff\nWORKDIR /w\nRUN x\n");
    assert_eq!(env(&run), [PATH, "Z=1", "A=3 4"]);
    assert_eq!((&*run.user, &*run.cwd, &*run.hostname), ("app:staff", "/w", "buildkitsandbox"));
    assert!(!run.insecure && run.mounts.is_empty() && run.scripts.is_empty());
    assert_eq!(run_of("FROM busybox\nRUN x\n").cwd, "/");
}

#[test]
fn options_of_the_command_line_reach_the_process() {
    let options = PlanOptions {
        extra_hosts: vec![("h".into(), "10.0.0.1".into())],
        shm_size_bytes: Some(1 << 20),
        ulimits: vec![("nofile".into(), 5, 6)],
        ..with_args(&[("BUILDKIT_SANDBOX_HOSTNAME", "box")])
    };
    let graph = planned_with("FROM busybox\nRUN x\n", &options);
    let run = runs(&graph)[0];
    assert_eq!(run.hostname, "box");
    assert_eq!(run.extra_hosts, [("h".to_owned(), "10.0.0.1".to_owned())]);
    assert_eq!(run.shm_size_bytes, Some(1 << 20));
    assert_eq!(run.ulimits, [("nofile".to_owned(), 5, 6)]);
}

#[test]
fn a_heredoc_alone_is_the_shells_text_whatever_its_quotes() {
    let run = run_of("FROM busybox\nRUN <<\"EOF\"\nln -s \"$A\" /x\ntrue\nEOF\n");
    assert_eq!(run.argv, ["/bin/sh", "-c", "ln -s \"$A\" /x\ntrue\n"]);
    let run = run_of("FROM busybox\nRUN <<-EOF\n\t\tindented\n\tEOF\n");
    assert_eq!(run.argv[2], "indented\n");
}

#[test]
fn a_script_is_run_as_a_file() {
    let graph = planned("FROM busybox\nRUN <<-SCRIPT\n\t#!/bin/awk -f\n\tBEGIN {}\n\tSCRIPT\n");
    let run = runs(&graph)[0];
    assert_eq!(run.argv, ["/bin/sh", "-c", "/dev/pipes/SCRIPT"]);
    let script = &run.scripts[0];
    assert_eq!((&*script.name, script.mode), ("SCRIPT", 0o755));
    assert_eq!(script.content, b"#!/bin/awk -f\nBEGIN {}\n");
    assert_eq!(history(&graph)[0], "RUN /bin/sh -c /dev/pipes/SCRIPT # buildkit");
}

#[test]
fn heredocs_beside_other_text_are_left_to_the_shell() {
    let run = run_of("FROM busybox\nRUN cat <<ONE > /1 && cat <<-TWO > /2\nfirst\nONE\n\tsecond\n\tTWO\n");
    assert_eq!(run.argv[2], "cat <<ONE > /1 && cat <<-TWO > /2\nfirst\nONE\n\tsecond\nTWO");
    let run = run_of("FROM busybox\nRUN <<ONE <<TWO\ntouch /one\nONE\ntouch /two\nTWO\n");
    assert_eq!(run.argv[2], "<<ONE <<TWO\ntouch /one\nONE\ntouch /two\nTWO");
}

#[test]
fn network_modes() {
    let mode = |flag: &str, options: &PlanOptions| {
        try_plan(&format!("FROM busybox\nRUN {flag} x\n"), options, &Images::new())
            .map(|graph| runs(&graph)[0].network)
            .map_err(|error| error.message)
    };
    let host = PlanOptions { network: Some(NetworkMode::Host), ..options() };
    let none = PlanOptions { network: Some(NetworkMode::None), ..options() };
    let allowed = PlanOptions { allow_network_host: true, ..options() };
    assert_eq!(mode("", &options()), Ok(NetworkMode::Default));
    assert_eq!(mode("--network=default", &none), Ok(NetworkMode::None));
    assert_eq!(mode("--network=none", &host), Ok(NetworkMode::None));
    assert_eq!(mode("", &host), Ok(NetworkMode::Host));
    assert_eq!(mode("--network=host", &host), Ok(NetworkMode::Host));
    assert_eq!(mode("--network=host", &allowed), Ok(NetworkMode::Host));
    assert_eq!(mode("--network=host", &options()), Err("network.host is not allowed".into()));
}

#[test]
fn insecure_steps_need_leave() {
    let text = "FROM busybox\nRUN --security=insecure x\n";
    assert_eq!(message(text), "security.insecure is not allowed");
    let graph = planned_with(text, &PlanOptions { allow_insecure: true, ..options() });
    assert!(runs(&graph)[0].insecure);
}
