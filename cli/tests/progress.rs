//! What a person or a program sees of a build, and how it is stopped.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use cooper_testkit::{Context, Output, find_program, program, skip};

fn can_build() -> bool {
    let doctor = Context::new("doctor").run(["doctor"]);
    if !doctor.success() {
        skip(&format!("steps cannot run here: {}", doctor.stderr.trim()));
    }
    doctor.success()
}

const DOCKERFILE: &str = "FROM busybox AS one\nRUN echo from one\n\
                          FROM busybox AS two\nRUN printf '\\033[2J\\377bad\\n' && echo from two\n\
                          FROM busybox\nCOPY --from=one /etc/passwd /1\nCOPY --from=two /etc/passwd /2\n";

#[test]
fn plain_lines_carry_the_number_of_their_step() {
    if !can_build() {
        return;
    }
    let context = Context::new("plain");
    context.write("Dockerfile", DOCKERFILE);
    let output = context.build([context.dir()]).expect_success();
    let number = |part: &str| {
        let line =
            output.stderr.lines().find(|l| l.contains(part)).unwrap_or_else(|| panic!("{part}: {output}"));
        line.split(' ').next().unwrap().to_owned()
    };
    assert_eq!(number("RUN echo from one"), number(" from one"));
    let bad =
        output.stderr.lines().find(|l| l.ends_with("\u{fffd}bad")).unwrap_or_else(|| panic!("{output}"));
    assert!(!bad.contains('\x1b'), "{bad:?}");
    assert!(output.stderr.contains(" DONE "), "{output}");
    let again = context.build([context.dir()]).expect_success();
    assert!(again.stderr.contains(" CACHED"), "{again}");
}

#[test]
fn raw_json_is_an_object_a_line() {
    if !can_build() {
        return;
    }
    let context = Context::new("rawjson");
    context.write("Dockerfile", DOCKERFILE);
    let output = context.build(["--progress", "rawjson", context.dir().to_str().unwrap()]).expect_success();
    let mut names = Vec::new();
    for line in output.stderr.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        for vertex in value["vertexes"].as_array().into_iter().flatten() {
            if vertex["completed"].is_string() {
                names.push(vertex["name"].as_str().unwrap().to_owned());
            }
        }
    }
    assert!(names.iter().any(|n| n.contains("RUN echo from one")), "{names:?}");
}

#[test]
fn on_a_terminal_ended_steps_stay_and_steps_cannot_steer_it() {
    if !can_build() {
        return;
    }
    let Some(script) = find_program("script") else { return skip("script is not installed") };
    let context = Context::new("tty");
    context.write("Dockerfile", DOCKERFILE);
    let build = context.build_command(["--progress=tty", context.dir().to_str().unwrap()]);
    let words: Vec<_> = std::iter::once(build.get_program()).chain(build.get_args()).collect();
    let words: Vec<_> = words.iter().map(|w| format!("'{}'", w.to_str().unwrap())).collect();
    let mut command = program(script);
    command.args(["-qec", &words.join(" "), "/dev/null"]).env("TERM", "xterm");
    let output = Output::of(&mut command).expect_success();
    assert!(output.stdout.contains("FINISHED"), "{output}");
    assert!(output.stdout.contains("RUN echo from one"), "{output}");
    assert!(!output.stdout.contains("\x1b[2J"), "{output}");
}

#[test]
fn tty_without_a_terminal_is_refused() {
    let context = Context::new("no-tty");
    context.write("Dockerfile", "FROM scratch\n");
    let output = context.build(["--progress=tty", context.dir().to_str().unwrap()]).expect_code(2);
    assert!(output.stderr.contains("--progress=tty needs a terminal"), "{output}");
}

/// Starts a build whose step never ends by itself, waits until it runs, sends signals; the code and the output.
fn interrupted(name: &str, signals: u32) -> (Option<i32>, String) {
    let context = Context::new(name);
    context.write("Dockerfile", "FROM busybox\nRUN echo running; while true; do sleep 1000; done\n");
    let mut command = context.build_command([context.dir()]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut seen = String::new();
    for line in lines.by_ref() {
        seen.push_str(&line);
        seen.push('\n');
        if line.ends_with(" running") {
            break;
        }
    }
    for _ in 0..signals {
        Output::of(program("kill").args(["-INT", &child.id().to_string()]));
    }
    for line in lines {
        seen.push_str(&line);
        seen.push('\n');
    }
    (child.wait().unwrap().code(), seen)
}

#[test]
fn ctrl_c_cancels() {
    if !can_build() {
        return;
    }
    let (code, seen) = interrupted("ctrl-c", 1);
    assert_eq!(code, Some(130), "{seen}");
    assert!(seen.contains("CANCELED") && !seen.contains("------"), "{seen}");
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    if !can_build() {
        return;
    }
    let (code, seen) = interrupted("ctrl-c-twice", 2);
    assert_eq!(code, Some(130), "{seen}");
}

#[test]
fn the_version_needs_neither_store_nor_runtime() {
    let context = Context::new("version");
    for arguments in [["version"], ["--version"]] {
        let output = context.run(arguments).expect_success();
        assert_eq!(output.stdout, format!("cooper {}\n", env!("CARGO_PKG_VERSION")));
    }
    assert!(!context.store().exists());
}
