//! `cooper ci github` and action.yml.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use cooper_testkit::{Context, Output, Registry, skip, testdata, workspace};

struct Run {
    output: Output,
    outputs: String,
    summary: String,
}

fn run(context: &Context, inputs: &[(&str, &str)]) -> Run {
    let (outputs, summary) = (context.write("outputs", ""), context.write("summary", ""));
    let mut command = context.command(["ci", "github"]);
    command.current_dir(context.dir());
    command.env("GITHUB_OUTPUT", &outputs).env("GITHUB_STEP_SUMMARY", &summary);
    command.env("GITHUB_WORKSPACE", context.dir());
    command.env("INPUT_BUILD_CONTEXTS", format!("busybox=oci-layout://{}", testdata("base").display()));
    for (name, value) in inputs {
        command.env(format!("INPUT_{name}"), value);
    }
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    Run { output: Output::of(&mut command), outputs: read(&outputs), summary: read(&summary) }
}

fn can_build() -> bool {
    let doctor = Context::new("doctor").run(["doctor"]);
    if !doctor.success() {
        skip(&format!("steps cannot run here: {}", doctor.stderr.trim()));
    }
    doctor.success()
}

/// The value of an output, as the runner reads the file.
fn value(outputs: &str, name: &str) -> String {
    let mut lines = outputs.lines();
    while let Some(line) = lines.next() {
        let Some((found, delimiter)) = line.split_once("<<") else { panic!("{outputs}") };
        let value: Vec<_> = lines.by_ref().take_while(|l| *l != delimiter).collect();
        if found == name {
            return value.join("\n");
        }
    }
    panic!("no {name} in {outputs}")
}

#[test]
fn a_good_build_has_groups_outputs_and_a_summary() {
    if !can_build() {
        return;
    }
    let context = Context::new("github");
    context.write(
        "app/Dockerfile",
        "FROM busybox\nARG GREETING\n\
         RUN --mount=type=secret,id=token,env=TOKEN echo \"$GREETING\" && echo '::error::fake' && test \"$TOKEN\" = hunter2\n",
    );
    let run = run(
        &context,
        &[
            ("CONTEXT", "app"),
            ("TAGS", "demo:1"),
            ("BUILD_ARGS", "GREETING=hello from the step"),
            ("SECRETS", "token=hunter2"),
        ],
    );
    let output = run.output.expect_success();
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines[0], "::add-mask::hunter2");
    let at = |text: &str| lines.iter().position(|l| *l == text).unwrap_or_else(|| panic!("{text}: {output}"));
    let group =
        lines.iter().position(|l| l.starts_with("::group::") && l.contains("RUN --mount=type=secret"));
    let stop = lines.iter().position(|l| l.starts_with("::stop-commands::"));
    assert!(group.is_some() && group < stop && stop < Some(at("hello from the step")), "{output}");
    assert!(at("::error::fake") < at("::endgroup::"), "{output}");
    assert!(value(&run.outputs, "imageid").starts_with("sha256:"));
    assert!(value(&run.outputs, "digest").starts_with("sha256:"));
    let metadata: serde_json::Value = serde_json::from_str(&value(&run.outputs, "metadata")).unwrap();
    assert_eq!(metadata["containerimage.config.digest"], value(&run.outputs, "imageid").as_str());
    assert!(run.summary.contains("| done |"), "{}", run.summary);
}

#[test]
fn what_is_pushed_is_what_the_outputs_say() {
    let Some(registry) = Registry::start() else { return };
    if !can_build() {
        return;
    }
    let context = Context::new("github-push");
    let (first, second) = (registry.image("app:1"), registry.image("app:latest"));
    let project = testdata("node-like");
    let run = run(
        &context,
        &[
            ("CONTEXT", project.to_str().unwrap()),
            ("TAGS", &format!("{first}\n{second}")),
            ("LABELS", "org.example.revision=abc"),
            ("PUSH", "true"),
        ],
    );
    run.output.expect_success();
    let digest = value(&run.outputs, "digest");
    for name in [first, second] {
        let other = Context::new("github-pull");
        assert_eq!(other.run(["pull", "-q", &name]).expect_success().stdout.trim(), digest);
        let seen = other.run(["inspect", &name]).expect_success().stdout;
        let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
        assert_eq!(seen[0]["imageId"], value(&run.outputs, "imageid").as_str());
        assert_eq!(seen[0]["config"]["config"]["Labels"]["org.example.revision"], "abc");
    }
    assert!(run.summary.contains("RUN") && run.summary.contains("npm ci"), "{}", run.summary);
}

#[test]
fn a_failure_is_an_annotation_on_its_line() {
    if !can_build() {
        return;
    }
    let context = Context::new("github-failing");
    context.write("app/Dockerfile", "FROM busybox\n\nRUN echo last words && false\n");
    let run = run(&context, &[("CONTEXT", "app")]);
    let output = run.output.expect_code(1);
    let annotation = output.stdout.lines().find(|l| l.starts_with("::error "));
    let annotation = annotation.unwrap_or_else(|| panic!("{output}"));
    assert!(annotation.contains("file=app/Dockerfile,line=3,endLine=3"), "{annotation}");
    assert!(run.summary.contains("**failed**"), "{}", run.summary);
    assert_eq!(run.outputs, "", "a failed build has no outputs");
    assert!(output.stderr.contains("last words"), "the end is shown outside of the folded group: {output}");
}

#[test]
fn a_wrong_input_is_named() {
    let context = Context::new("github-input");
    let output = run(&context, &[("PUSH", "perhaps")]).output.expect_code(2);
    assert!(output.stderr.contains("input push"), "{output}");
}

/// Every input of action.yml reaches the program, and everything that the program reads is an input.
#[test]
fn the_action_hands_over_all_inputs() {
    let action = std::fs::read_to_string(workspace().join("action.yml")).unwrap();
    let between =
        |start: &str, end: &str| action.split_once(start).unwrap().1.split_once(end).unwrap().0.to_owned();
    let inputs: Vec<_> = between("\ninputs:\n", "\noutputs:\n")
        .lines()
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "))
        .map(|l| l.trim().trim_end_matches(':').to_owned())
        .collect();
    assert!(inputs.len() > 15);
    for input in inputs {
        let line = format!("INPUT_{}: ${{{{ inputs.{input} }}}}", input.to_uppercase().replace('-', "_"));
        assert!(action.contains(&line), "action.yml lacks {line}");
    }
    let script = action.split_once("run: '").unwrap().1.lines().next().unwrap();
    assert!(!script.contains("${{"), "inputs must not become code");
}

#[test]
fn a_check_stands_on_its_lines_and_builds_nothing() {
    let context = Context::new("github-check");
    context.write("app/Dockerfile", "FROM busybox AS Base\nRUN exit 7\n");
    let checked = run(&context, &[("CONTEXT", "app"), ("CHECK", "true")]);
    let output = checked.output.expect_code(1);
    let line = "::warning file=app/Dockerfile,line=1,endLine=1,title=StageNameCasing::Stage name 'Base' should be lowercase";
    assert!(output.stdout.lines().any(|l| l == line), "{output}");
    assert!(output.stdout.contains("Check complete, 1 warning has been found!"), "{output}");
    assert_eq!(checked.outputs, "");
    let targets = run(&context, &[("CONTEXT", "app"), ("CALL", "targets")]).output.expect_success();
    assert!(targets.stdout.contains("base (default)"), "{targets}");
    let wrong = run(&context, &[("CONTEXT", "app"), ("CALL", "nothing")]).output.expect_code(2);
    assert!(wrong.stderr.contains("\"nothing\" is not known"), "{wrong}");
}
