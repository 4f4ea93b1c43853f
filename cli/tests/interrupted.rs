//! Pushes that are interrupted: the registry is told to forget what it got. What is killed without a word can be
//! gone on with instead: `killed.rs`, and `journal` in the registry client's tests.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cooper_testkit::{Context, Door, Output, Registry, can_build, program, wait_for};

const PATIENCE: Duration = Duration::from_mins(1);

/// A context with layers of so many bytes, which no compression makes smaller.
fn project(name: &str, layers: &[usize]) -> (Context, String) {
    let context = Context::new(name);
    let mut dockerfile = "FROM scratch\n".to_owned();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for (n, bytes) in layers.iter().enumerate() {
        let mut content = Vec::with_capacity(bytes + 8);
        while content.len() < *bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            content.extend(state.to_le_bytes());
        }
        context.write(&format!("project/{n}"), content);
        writeln!(dockerfile, "COPY {n} /{n}").unwrap();
    }
    (context, dockerfile)
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal, and waits for the end.
fn interrupt(mut process: Child, signal: &str) {
    Output::of(program("kill").args(["-s", signal, &process.id().to_string()])).expect_success();
    assert!(wait_for(PATIENCE, || process.try_wait().unwrap().is_some()), "it does not end");
    let code = process.wait().unwrap().code();
    let mut told = String::new();
    process.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(code, Some(130), "{told}");
}

fn all_is_forgotten(registry: &Registry, uploads: usize) {
    assert_eq!(registry.unfinished("app"), Vec::<PathBuf>::new(), "{}", registry.log());
    assert!(registry.requests("DELETE", "app/blobs/uploads/") >= uploads);
}

/// The journal's notes that say something.
fn notes(context: &Context) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(context.store().join("uploads")).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.metadata().unwrap().len() > 0).collect()
}

#[test]
fn r072_an_interrupted_push_leaves_nothing_in_the_registry() {
    if !can_build() {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let (context, dockerfile) = project("interrupted", &[3 << 20; 4]);
    let door = Door::before(&registry.host(), "PUT ", 0, 0);
    context.build_text(&dockerfile, &["-t", &door.image("app:1")]);
    let mut push = start(context.command(["push", &door.image("app:1")]));
    door.wait_for(&mut push, 5);
    assert_eq!(registry.unfinished("app").len(), 5, "the config's, too");
    interrupt(push, "TERM");
    all_is_forgotten(&registry, 5);
    // The next push begins anew, and gets through.
    let direct = registry.image("app:1");
    context.run(["tag", &door.image("app:1"), &direct]).expect_success();
    context.run(["push", "-q", &direct]).expect_success();
    assert_eq!(registry.unfinished("app"), Vec::<PathBuf>::new());
}

#[test]
fn r072_an_interrupted_push_in_chunks_is_not_gone_on_with() {
    if !can_build() {
        return;
    }
    let (Some(from), Some(to)) = (Registry::start(), Registry::start()) else { return };
    let (maker, dockerfile) = project("interrupted-source", &[33 << 20]);
    let source = from.image("app:1");
    maker.build_text(&dockerfile, &["-t", &source, "--push"]);
    let context = Context::new("interrupted-chunks");
    context.run(["pull", "-q", &source]).expect_success();
    let door = Door::before(&to.host(), "PATCH ", 1, 0);
    context.run(["tag", &source, &door.image("app:1")]).expect_success();
    let mut push = start(context.command(["push", &door.image("app:1")]));
    door.wait_for(&mut push, 1);
    assert_eq!((to.unfinished("app").len(), notes(&context).len()), (1, 1));
    interrupt(push, "INT");
    all_is_forgotten(&to, 1);
    assert_eq!(notes(&context), Vec::<PathBuf>::new());
}

#[test]
fn r072_an_interrupted_build_leaves_nothing_in_the_registry() {
    if !can_build() {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let (context, dockerfile) = project("interrupted-build", &[3 << 20, 5 << 20]);
    let door = Door::before(&registry.host(), "PATCH ", 0, 0);
    context.write("project/Dockerfile", &dockerfile);
    let project = context.dir().join("project");
    let build = context.build_command(["--push", "-t", &door.image("app:1"), project.to_str().unwrap()]);
    let mut build = start(build);
    door.wait_for(&mut build, 2);
    interrupt(build, "INT");
    all_is_forgotten(&registry, 2);
}

#[test]
fn r072_an_interrupted_copy_leaves_nothing_in_the_registry() {
    if !can_build() {
        return;
    }
    let (Some(from), Some(to)) = (Registry::start(), Registry::start()) else { return };
    let (context, dockerfile) = project("interrupted-copy", &[3 << 20, 5 << 20]);
    let source = from.image("app:1");
    context.build_text(&dockerfile, &["-t", &source, "--push"]);
    let door = Door::before(&to.host(), "PUT ", 0, 0);
    let mut copy = start(context.command(["copy", &source, &door.image("app:1")]));
    door.wait_for(&mut copy, 3);
    interrupt(copy, "INT");
    all_is_forgotten(&to, 3);
}

#[test]
fn r072_in_the_middle_of_a_body_the_registry_is_told_at_least() {
    if !can_build() {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let (context, dockerfile) = project("interrupted-body", &[3 << 20, 3 << 20]);
    let door = Door::before(&registry.host(), "PATCH ", 0, 1 << 20);
    context.build_text(&dockerfile, &["-t", &door.image("app:1")]);
    let mut push = start(context.command(["push", &door.image("app:1")]));
    door.wait_for(&mut push, 2);
    interrupt(push, "INT");
    // Its log comes when the answer is out already.
    assert!(
        wait_for(PATIENCE, || registry.requests("DELETE", "app/blobs/uploads/") == 2),
        "{}",
        registry.log()
    );
}

#[test]
fn r072_a_registry_that_does_not_answer_is_not_waited_for() {
    if !can_build() {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let (context, dockerfile) = project("interrupted-silent", &[3 << 20, 3 << 20]);
    let door = Door::before(&registry.host(), "PUT ", 0, 0);
    context.build_text(&dockerfile, &["-t", &door.image("app:1")]);
    let mut push = start(context.command(["push", &door.image("app:1")]));
    door.wait_for(&mut push, 3);
    door.shut();
    interrupt(push, "INT");
    assert_eq!(registry.requests("DELETE", ""), 0);
    assert_eq!(registry.unfinished("app").len(), 3);
}
