//! `--check` and `--call`: text, JSON and exit codes.

#![allow(clippy::unwrap_used)]

use cooper_testkit::{Context, Output};
use serde_json::Value;

const FLAWED: &str =
    "FROM busybox AS Base\nWORKDIR app\n# check=skip=LegacyKeyValueFormat\nENV a b\nRUN exit 7\n";

fn project(dockerfile: &str) -> Context {
    let context = Context::new("check");
    context.write("Dockerfile", dockerfile);
    context
}

fn build(context: &Context, flags: &[&str]) -> Output {
    let mut arguments = flags.to_vec();
    arguments.push(context.dir().to_str().unwrap());
    context.build(arguments)
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output}"))
}

#[test]
fn findings_are_shown_in_their_lines_and_nothing_runs() {
    let context = project(FLAWED);
    for flags in [&["--check"][..], &["--call=check"], &["--call", "lint"]] {
        let output = build(&context, flags).expect_code(1);
        for part in [
            "warning[StageNameCasing]: Stage name 'Base' should be lowercase",
            "--> Dockerfile:1:1",
            "1 | FROM busybox AS Base",
            "help: https://docs.docker.com/go/dockerfile/rule/stage-name-casing/",
            "warning[WorkdirRelativePath]",
            "Check complete, 2 warnings have been found!",
        ] {
            assert!(output.stdout.contains(part), "{part}: {output}");
        }
        assert!(!output.stdout.contains("LegacyKeyValueFormat"), "{output}");
        assert_eq!(output.stderr, "", "{output}");
    }
}

#[test]
fn a_clean_file_passes_and_the_status_can_be_ignored() {
    let output = build(&project("FROM busybox\n"), &["--check"]).expect_success();
    assert_eq!(output.stdout, "Check complete, no warnings found.\n");
    let output = build(&project(FLAWED), &["--call=check,ignorestatus=true"]).expect_success();
    assert!(output.stdout.contains("2 warnings"), "{output}");
    let output = build(
        &project("FROM busybox AS A\n"),
        &["--check", "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all"],
    );
    output.expect_success();
}

#[test]
fn the_json_of_a_check() {
    let output = build(&project(FLAWED), &["--call=check,format=json"]).expect_code(1);
    let report = json(&output);
    let first = &report["warnings"][0];
    assert_eq!(first["ruleName"], "StageNameCasing");
    assert_eq!(first["description"], "Stage names should be lowercase");
    assert_eq!(first["url"], "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/");
    assert_eq!(first["detail"], "Stage name 'Base' should be lowercase");
    assert_eq!(first["location"]["ranges"][0]["start"]["line"], 1);
    assert_eq!(report["sources"][0]["filename"], "Dockerfile");
    assert!(report.get("buildError").is_none());
}

#[test]
fn an_error_does_not_hide_what_was_found_before() {
    let context = project("FROM scratch AS BadName\nFROM ${BAR} AS base\n");
    let report = json(&build(&context, &["--call=check,format=json"]).expect_code(1));
    let rules: Vec<_> =
        report["warnings"].as_array().unwrap().iter().map(|w| w["ruleName"].as_str().unwrap()).collect();
    assert_eq!(rules, ["StageNameCasing", "InvalidDefaultArgInFrom", "UndefinedArgInFrom"]);
    assert!(report["buildError"]["message"].as_str().unwrap().contains("should not be blank"));
    assert_eq!(report["buildError"]["location"]["ranges"][0]["start"]["line"], 2);
    let output = build(&context, &["--check"]).expect_code(1);
    assert!(output.stdout.contains("warning[StageNameCasing]"), "{output}");
    assert!(output.stderr.contains("base name (${BAR}) should not be blank"), "{output}");
}

#[test]
fn a_build_warns_and_fails_if_the_file_says_so() {
    let output = build(&project("FROM busybox AS Base\n"), &["--output=type=cacheonly"]).expect_success();
    assert!(output.stderr.contains("1 warning found:\n - StageNameCasing:"), "{output}");
    let output = build(&project("# check=error=true\nFROM busybox AS Base\nENV a b\n"), &[]).expect_code(1);
    let message = "lint violation found for rules: StageNameCasing, LegacyKeyValueFormat";
    assert!(output.stderr.contains(message), "{output}");
    // Cooper's own rules do not stop what BuildKit builds.
    let token = format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
    let context = project(&format!("# check=error=true\nFROM busybox\nENV GH={token}\n"));
    let output = build(&context, &["--output=type=cacheonly"]).expect_success();
    assert!(output.stderr.contains("CooperSecretValue"), "{output}");
    assert!(!output.stderr.contains(&token), "{output}");
    build(&context, &["--check"]).expect_code(1);
}

#[test]
fn what_a_target_takes() {
    let text = "ARG TAG=latest\nFROM busybox:$TAG AS base\n# VERSION is what is built\nARG VERSION=1\nFROM busybox AS other\n\
                ARG UNUSED\n# app is the program\nFROM base AS app\n\
                RUN --mount=type=secret,id=token,required --mount=type=ssh --mount=type=cache,target=/c true\n";
    let context = project(text);
    let outline =
        json(&build(&context, &["--call=outline,format=json", "--build-arg", "VERSION=2"]).expect_success());
    assert_eq!(outline["name"], "app");
    assert_eq!(outline["description"], "is the program");
    let args: Vec<_> =
        outline["args"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert_eq!(args, ["TAG", "VERSION"]);
    assert_eq!(outline["args"][1]["value"], "2");
    assert_eq!(outline["args"][1]["description"], "is what is built");
    assert_eq!(outline["secrets"][0]["name"], "token");
    assert_eq!(outline["secrets"][0]["required"], true);
    assert_eq!(outline["ssh"][0]["name"], "default");
    assert_eq!(outline["cache"][0]["ID"], "/c");
    let output = build(&context, &["--call=outline"]).expect_success();
    for part in ["TARGET:        app", "BUILD ARG   VALUE", "SECRET", "true", "SSH"] {
        assert!(output.stdout.contains(part), "{part}: {output}");
    }
}

#[test]
fn the_targets_of_a_file() {
    let text = "# build makes it\nFROM --platform=$BUILDPLATFORM busybox AS build\nFROM scratch\n";
    let context = project(text);
    let list = json(&build(&context, &["--call=targets,format=json"]).expect_success());
    assert_eq!(list["targets"][0]["name"], "build");
    assert_eq!(list["targets"][0]["description"], "makes it");
    assert_eq!(list["targets"][0]["base"], "busybox");
    assert_eq!(list["targets"][0]["platform"], "$BUILDPLATFORM");
    assert_eq!(list["targets"][1]["default"], true);
    assert_eq!(list["targets"][1]["location"]["ranges"][0]["start"]["line"], 3);
    let output = build(&context, &["--call=targets"]).expect_success();
    assert_eq!(output.stdout, "TARGET      DESCRIPTION\nbuild       makes it\n(default)\n");
}

#[test]
fn the_methods() {
    let output =
        build(&project("FROM busybox\n"), &["--call=subrequests.describe,format=json"]).expect_success();
    let list = json(&output);
    let names: Vec<_> = list.as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert!(
        names.contains(&"frontend.lint") && names.contains(&"frontend.subrequests.describe"),
        "{names:?}"
    );
    assert_eq!(list[0]["version"], "1.0.0");
    build(&project("FROM busybox\n"), &["--call=nothing"]).expect_code(2);
}

#[test]
fn a_base_that_is_not_found_leaves_out_only_what_needs_it() {
    // Nobody listens there.
    let text = "FROM localhost:1/nothing AS Base\nWORKDIR app\nENV a b\nRUN echo $x\nCMD echo $x\nLABEL a=$foo\n\
                FROM scratch as other\nCOPY --from=Base /x /y\n";
    let context = project(text);
    let output = build(&context, &["--check"]).expect_code(3);
    for rule in ["StageNameCasing", "WorkdirRelativePath", "LegacyKeyValueFormat", "FromAsCasing"] {
        assert!(output.stdout.contains(&format!("warning[{rule}]")), "{rule}: {output}");
    }
    for rule in ["JSONArgsRecommended", "UndefinedVar"] {
        assert!(!output.stdout.contains(rule), "{rule}: {output}");
    }
    let note = "not checked, because a base image could not be looked up: InvalidBaseImagePlatform, JSONArgsRecommended, UndefinedVar";
    assert!(output.stderr.contains(note), "{output}");
    assert!(
        output.stderr.contains("localhost:1/nothing") && output.stderr.contains("Dockerfile:1"),
        "{output}"
    );
    let told = json(&build(&context, &["--call=check,format=json"]).expect_code(3));
    assert_eq!(told["warnings"].as_array().unwrap().len(), 4, "{told}");
    assert!(told["buildError"]["message"].as_str().unwrap().contains("localhost:1/nothing"), "{told}");
    // Found, they are checked.
    let all = build(&project(&text.replace("localhost:1/nothing", "busybox")), &["--check"]).expect_code(1);
    assert!(all.stdout.contains("JSONArgsRecommended") && all.stdout.contains("UndefinedVar"), "{all}");
}
