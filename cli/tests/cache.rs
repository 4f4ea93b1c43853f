//! What is done once is not done again: caching within a store, between processes, side by side.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Child, Stdio};

use cooper_testkit::{Context, Output, Registry, can_build, program, testdata};

/// Numbers of CACHED and of DONE steps in plain progress.
fn counts(output: &Output) -> (usize, usize) {
    let ends = |word: &str| {
        output.stderr.lines().filter(|l| l.starts_with('#') && l.split(' ').nth(1) == Some(word)).count()
    };
    (ends("CACHED"), ends("DONE"))
}

fn export(context: &Context, flags: &[&str], project: &Path, name: &str) -> Output {
    let output = format!("type=local,dest={}", context.dir().join(name).display());
    let mut words = flags.to_vec();
    words.extend(["--output", &output, project.to_str().unwrap()]);
    context.build(words).expect_success()
}

fn read(context: &Context, path: &str) -> String {
    std::fs::read_to_string(context.dir().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn a_second_build_does_nothing_and_asks_no_registry() {
    if !can_build() {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("offline");
    let base = registry.image("base:1");
    context.build(["--push", "-t", &base, testdata("nginx-like").to_str().unwrap()]).expect_success();
    let other = Context::new("offline-derived");
    let dockerfile =
        format!("FROM {base}\nRUN echo one > /one\nCOPY data /data\nRUN cat /data/file > /two\n");
    other.write("app/Dockerfile", dockerfile);
    let file = other.write("app/data/file", "content\n");
    let project = other.dir().join("app");
    let first = export(&other, &[], &project, "first");
    assert!(counts(&first).1 >= 3, "{first}");
    drop(registry);
    // Times say nothing about content.
    let later = std::time::SystemTime::now() + std::time::Duration::from_hours(24);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(later).unwrap();
    let second = export(&other, &[], &project, "second");
    let (cached, done) = counts(&second);
    assert!(cached >= 4 && done == 0, "{second}");
    assert_eq!(read(&other, "second/two"), "content\n");
    // And the result in a moved place is the same, too.
    std::fs::rename(&project, other.dir().join("moved")).unwrap();
    let third = export(&other, &[], &other.dir().join("moved"), "third");
    assert_eq!(counts(&third).1, 0, "{third}");
}

#[test]
fn a_miss_says_what_changed() {
    if !can_build() {
        return;
    }
    let context = Context::new("miss");
    let project = context.dir().join("app");
    let text = |n: u32| format!("FROM busybox\nCOPY a.txt b.txt /\nARG X\nRUN echo $X > /x\nRUN echo {n}\n");
    context.write("app/Dockerfile", text(1));
    context.write("app/a.txt", "a");
    context.write("app/b.txt", "b");
    export(&context, &["--build-arg", "X=1"], &project, "o1");
    context.write("app/b.txt", "other");
    let copy = export(&context, &["--build-arg", "X=1"], &project, "o2");
    let line = |output: &Output, word: &str| {
        output.stderr.lines().any(|l| l.contains("(changed: ") && l.contains(word))
    };
    assert!(line(&copy, "b.txt"), "the changed file is named: {copy}");
    let argument = export(&context, &["--build-arg", "X=2"], &project, "o3");
    assert!(line(&argument, "X"), "the changed argument is named: {argument}");
    let (cached, done) = counts(&argument);
    assert!(cached >= 2 && done == 2, "COPY stays cached, both RUNs run: {argument}");
    assert_eq!(read(&context, "o3/x"), "2\n");
}

/// A RUN's result does not depend on times, so an equal result keeps what stands on it cached.
#[test]
fn equal_content_keeps_later_steps_cached() {
    if !can_build() {
        return;
    }
    let context = Context::new("equal");
    let text = |comment: &str| {
        format!(
            "FROM busybox AS made\nRUN echo same > /file && : {comment}\nFROM busybox\nCOPY --from=made /file /\nRUN cat /file\n"
        )
    };
    let project = context.write("app/Dockerfile", text("one"));
    let project = project.parent().unwrap();
    export(&context, &[], project, "o1");
    context.write("app/Dockerfile", text("two"));
    let second = export(&context, &[], project, "o2");
    assert_eq!(counts(&second).1, 1, "only the changed RUN runs: {second}");
}

#[test]
fn no_cache_runs_everything_again() {
    if !can_build() {
        return;
    }
    let context = Context::new("no-cache");
    let file = context.write(
        "app/Dockerfile",
        "FROM busybox AS one\nRUN cat /proc/sys/kernel/random/uuid > /one\n\
         FROM busybox AS two\nRUN cat /proc/sys/kernel/random/uuid > /two\n\
         FROM scratch\nCOPY --from=one /one /\nCOPY --from=two /two /\n",
    );
    let project = file.parent().unwrap();
    let build = |flags: &[&str], name: &str| {
        export(&context, flags, project, name);
        (read(&context, &format!("{name}/one")), read(&context, &format!("{name}/two")))
    };
    let first = build(&[], "o1");
    assert_eq!(build(&[], "o2"), first);
    let all = build(&["--no-cache"], "o3");
    assert!(all.0 != first.0 && all.1 != first.1);
    let stage = build(&["--no-cache-filter", "one"], "o4");
    assert!(stage.0 != all.0 && stage.1 == all.1, "only the stage runs again");
    assert_eq!(build(&[], "o5"), stage, "the newest result counts");
}

fn start(context: &Context, project: &Path, name: &str) -> Child {
    let output = format!("type=local,dest={}", context.dir().join(name).display());
    let mut command = context.build_command(["--output", &output, project.to_str().unwrap()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn equal_work_of_two_processes_is_done_once() {
    if !can_build() {
        return;
    }
    let context = Context::new("once");
    let file = context.write(
        "app/Dockerfile",
        "FROM busybox\nRUN --mount=type=cache,target=/c echo x >> /c/runs && sleep 1 && cp /c/runs /runs\n",
    );
    let project = file.parent().unwrap();
    let processes: Vec<_> = (0..4).map(|n| start(&context, project, &format!("o{n}"))).collect();
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    for n in 0..4 {
        assert_eq!(read(&context, &format!("o{n}/runs")), "x\n");
    }
}

/// Each stage waits for the other one to open its end of a FIFO: only side by side can they end.
const RENDEZVOUS: &str = "FROM busybox AS fifos\n\
     RUN --mount=type=cache,id=meet,target=/m mkfifo /m/there /m/back; touch /ready\n\
     FROM busybox AS left\n\
     COPY --from=fifos /ready /\n\
     RUN --mount=type=cache,id=meet,target=/m echo ping > /m/there && timeout 60 cat /m/back > /left\n\
     FROM busybox AS right\n\
     COPY --from=fifos /ready /\n\
     RUN --mount=type=cache,id=meet,target=/m timeout 60 cat /m/there > /right && echo pong > /m/back\n\
     FROM scratch\n\
     COPY --from=left /left /\n\
     COPY --from=right /right /\n";

#[test]
fn stages_run_side_by_side() {
    if !can_build() {
        return;
    }
    let context = Context::new("parallel");
    let file = context.write("app/Dockerfile", RENDEZVOUS);
    export(&context, &[], file.parent().unwrap(), "out");
    assert_eq!((read(&context, "out/left"), read(&context, "out/right")), ("pong\n".into(), "ping\n".into()));
}

#[test]
fn stages_that_nobody_needs_are_not_built() {
    if !can_build() {
        return;
    }
    let context = Context::new("unused");
    let file = context.write(
        "app/Dockerfile",
        "FROM busybox AS broken\nRUN false\nFROM busybox AS early\nRUN echo early > /file\nFROM early\nRUN echo late > /file\n",
    );
    let project = file.parent().unwrap();
    export(&context, &[], project, "all");
    let early = export(&context, &["--target", "early"], project, "early");
    assert_eq!(counts(&early).1, 0, "{early}");
    assert_eq!(
        (read(&context, "all/file"), read(&context, "early/file")),
        ("late\n".into(), "early\n".into())
    );
}

/// Files of a stopped build's own are not in the way, and prune takes all.
#[test]
fn prune_leaves_nothing_that_is_not_named() {
    if !can_build() {
        return;
    }
    let context = Context::new("prune");
    let file = context.write("app/Dockerfile", "FROM busybox\nRUN echo x > /x\n");
    let project = file.parent().unwrap();
    context.build(["-t", "kept:1", project.to_str().unwrap()]).expect_success();
    context.run(["prune", "--all"]).expect_success();
    let archive = context.dir().join("kept.tar");
    let output = format!("type=tar,dest={}", archive.display());
    let again = context.build(["--output", &output, project.to_str().unwrap()]).expect_success();
    let listing = Output::of(program("tar").arg("-tf").arg(&archive)).expect_success();
    assert!(listing.stdout.lines().any(|l| l.trim_start_matches("./") == "x"), "{again}");
}

#[test]
fn an_argument_used_in_a_command_is_named_as_the_reason() {
    let context = Context::new("reason-argument");
    context.write("Dockerfile", "FROM busybox\nARG VERSION\nRUN echo $VERSION > /version\n");
    let dir = context.dir().display().to_string();
    context.build(["--build-arg", "VERSION=1", &dir]).expect_success();
    let second = context.build(["--build-arg", "VERSION=2", &dir]).expect_success();
    assert!(second.stderr.contains("VERSION 1→2"), "{second}");
}
