//! Mistakes that people make: each message names the true cause, the line, and what to do.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use cooper_testkit::{Context, Registry, skip, testdata};

/// A mistake: its Dockerfile, other files of the context, flags, whether a step must run, and what the message has to
/// say.
struct Mistake {
    name: &'static str,
    dockerfile: &'static str,
    files: &'static [(&'static str, &'static str)],
    flags: &'static [&'static str],
    runs: bool,
    says: &'static [&'static str],
}

const NOTHING: Mistake = Mistake { name: "", dockerfile: "", files: &[], flags: &[], runs: false, says: &[] };

const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "a source with a slip of the finger",
        dockerfile: "FROM busybox\nCOPY pakcage.json /\n",
        files: &[("package.json", "{}")],
        says: &["Dockerfile:2:6", "\"/pakcage.json\": not found", "did you mean \"/package.json\"?"],
        ..NOTHING
    },
    Mistake {
        name: "a source that the ignore file leaves out",
        dockerfile: "FROM busybox\nCOPY app.json /\n",
        files: &[("app.json", "{}"), (".dockerignore", "# all data\n\n*.json\n")],
        says: &[
            "Dockerfile:2:6",
            "\"/app.json\": not found",
            "excluded by .dockerignore: line 3, \"*.json\"",
        ],
        ..NOTHING
    },
    Mistake {
        name: "a source that the Dockerfile's own ignore file leaves out",
        dockerfile: "FROM busybox\nCOPY dist/app /\n",
        files: &[("dist/app", ""), ("Dockerfile.dockerignore", "dist\n")],
        says: &["Dockerfile:2:6", "excluded by Dockerfile.dockerignore: line 1, \"dist\""],
        ..NOTHING
    },
    Mistake {
        name: "a source outside of the context",
        dockerfile: "FROM busybox\nCOPY ../sibling /\n",
        says: &[
            "Dockerfile:2:6",
            "not found",
            "files outside of the build context cannot be copied",
            "--build-context",
        ],
        ..NOTHING
    },
    Mistake {
        name: "a source with an ARG from above FROM",
        dockerfile: "ARG VERSION=1\nFROM busybox\nCOPY app-$VERSION.txt /\n",
        files: &[("app-1.txt", "")],
        says: &["Dockerfile:3:6", "repeat `ARG VERSION` in it"],
        ..NOTHING
    },
    Mistake {
        name: "a source with a variable that is not set",
        dockerfile: "FROM busybox\nENV RELEASE=1\nCOPY app-$RELAESE /\n",
        files: &[("app-1", "")],
        says: &["Dockerfile:3:6", "RELAESE is not set here", "did you mean $RELEASE?"],
        ..NOTHING
    },
    Mistake {
        name: "several sources into a file",
        dockerfile: "FROM busybox\nCOPY a b /app\n",
        files: &[("a", ""), ("b", "")],
        flags: &["--strict"],
        says: &[
            "Dockerfile:2:",
            "several sources are copied to the one file \"/app\"",
            "end the destination in a slash",
        ],
        ..NOTHING
    },
    Mistake {
        name: "a layout that is not there",
        dockerfile: "FROM busybox AS builder\nFROM busybox\nCOPY --from=other /a /\n",
        flags: &["--build-context", "other=oci-layout:///no/such/layout"],
        says: &["Dockerfile:3:1", "/no/such/layout"],
        ..NOTHING
    },
    Mistake {
        name: "a target with a slip of the finger",
        dockerfile: "FROM busybox AS build\nFROM busybox AS final\n",
        flags: &["--target", "biuld"],
        says: &["target stage \"biuld\" could not be found", "did you mean build?"],
        ..NOTHING
    },
    Mistake {
        name: "a target that is far from all",
        dockerfile: "FROM busybox AS build\nFROM busybox AS final\n",
        flags: &["--target", "production"],
        says: &["target stage \"production\" could not be found", "the stages are: build, final"],
        ..NOTHING
    },
    Mistake {
        name: "an unknown instruction",
        dockerfile: "FROM busybox\nCOPPY a b\n",
        says: &["Dockerfile:2:1", "unknown instruction: COPPY", "did you mean COPY?"],
        ..NOTHING
    },
    Mistake {
        name: "an unknown flag",
        dockerfile: "FROM busybox\nCOPY --chwon=1 a /\n",
        says: &["Dockerfile:2:", "unknown flag: --chwon", "did you mean chown?"],
        ..NOTHING
    },
    Mistake {
        name: "no FROM",
        dockerfile: "RUN true\n",
        says: &["Dockerfile:1:1", "no build stage in current context"],
        ..NOTHING
    },
    Mistake {
        name: "a base that is empty",
        dockerfile: "ARG BASE\nFROM $BASE\n",
        says: &["Dockerfile:2:6", "base name ($BASE) should not be blank", "--build-arg BASE="],
        ..NOTHING
    },
    Mistake {
        name: "a variable in --from",
        dockerfile: "FROM busybox AS a\nFROM busybox\nARG S=a\nCOPY --from=$S /x /\n",
        says: &[
            "Dockerfile:4:",
            "variable expansion is not supported for --from",
            "define a new stage with FROM",
        ],
        ..NOTHING
    },
    Mistake {
        name: "a stage that copies from a later one",
        dockerfile: "FROM busybox AS a\nCOPY --from=b /x /\nFROM busybox AS b\nCOPY --from=a /x /\n",
        says: &["Dockerfile:", "circular dependency detected on stage: "],
        ..NOTHING
    },
    Mistake {
        name: "a heredoc without its end",
        dockerfile: "FROM busybox\nRUN <<EOF\ntrue\n",
        says: &["Dockerfile:2:", "unterminated heredoc"],
        ..NOTHING
    },
    Mistake {
        name: "a variable without its brace",
        dockerfile: "FROM busybox\nENV A=1\nWORKDIR /${A\n",
        says: &["Dockerfile:3:", "missing '}'"],
        ..NOTHING
    },
    Mistake {
        name: "ENV without a value",
        dockerfile: "FROM busybox\nENV DEBUG\n",
        says: &["Dockerfile:2:", "ENV must have two arguments"],
        ..NOTHING
    },
    Mistake {
        name: "a mode that is none",
        dockerfile: "FROM busybox\nCOPY --chmod=999 Dockerfile /\n",
        says: &["Dockerfile:2:", "invalid chmod parameter: '999'", "octal"],
        ..NOTHING
    },
    Mistake {
        name: "an owner's name where there are no names",
        dockerfile: "FROM scratch\nCOPY --chown=app Dockerfile /\n",
        says: &["Dockerfile:2:", "\"app\" needs a base image with /etc/passwd; use a number"],
        ..NOTHING
    },
    Mistake {
        name: "a port that is none",
        dockerfile: "FROM busybox\nEXPOSE http\n",
        says: &["Dockerfile:2:", "http"],
        ..NOTHING
    },
    Mistake {
        name: "a URL in COPY",
        dockerfile: "FROM busybox\nCOPY https://example.com/x /\n",
        says: &["Dockerfile:2:6", "source can't be a URL for COPY"],
        ..NOTHING
    },
    Mistake {
        name: "the host's network without leave",
        dockerfile: "FROM busybox\nRUN --network=host true\n",
        says: &["Dockerfile:2:", "network.host is not allowed", "--allow network.host"],
        ..NOTHING
    },
    Mistake {
        name: "a foreign frontend",
        dockerfile: "# syntax=example/other:1\nFROM busybox\n",
        says: &["Dockerfile:1:", "example/other:1"],
        ..NOTHING
    },
    Mistake {
        name: "a secret that was not given",
        dockerfile: "FROM busybox\nRUN --mount=type=secret,id=token,required cat /run/secrets/token\n",
        runs: true,
        says: &["Dockerfile:2:", "secret token: not found", "--secret id=token,src=FILE"],
        ..NOTHING
    },
    Mistake {
        name: "an agent that was not given",
        dockerfile: "FROM busybox\nRUN --mount=type=ssh,required true\n",
        runs: true,
        says: &["Dockerfile:2:", "no SSH key \"default\" forwarded", "--ssh default"],
        ..NOTHING
    },
    Mistake {
        name: "a program that is not there",
        dockerfile: "FROM busybox\nRUN nodejs --version\n",
        runs: true,
        says: &["Dockerfile:2:", "exit code: 127", "a program was not found. Is it installed in this stage?"],
        ..NOTHING
    },
    Mistake {
        name: "a script that may not be executed",
        dockerfile: "FROM busybox\nCOPY --chmod=644 run.sh /\nRUN /run.sh\n",
        files: &[("run.sh", "#!/bin/sh\n")],
        runs: true,
        says: &["Dockerfile:3:", "exit code: 126", "COPY --chmod=755"],
        ..NOTHING
    },
    Mistake {
        name: "single quotes in the JSON form",
        dockerfile: "FROM busybox\nRUN ['/bin/true']\n",
        runs: true,
        says: &["Dockerfile:2:", "the JSON form needs double quotes"],
        ..NOTHING
    },
    Mistake {
        name: "an ARG from above FROM in a command",
        dockerfile: "ARG FILE=/etc/passwd\nFROM busybox\nRUN test -f \"${FILE}\"\n",
        runs: true,
        says: &["Dockerfile:3:", "exit code: 1", "repeat `ARG FILE` in it"],
        ..NOTHING
    },
    Mistake {
        name: "a user that the image lacks",
        dockerfile: "FROM busybox\nUSER nobody-there\nRUN true\n",
        runs: true,
        says: &["Dockerfile:3:", "nobody-there", "the image's /etc/passwd"],
        ..NOTHING
    },
];

#[test]
fn messages_name_cause_line_and_remedy() {
    let can_run = Context::new("doctor").run(["doctor"]).success();
    if !can_run {
        skip("steps cannot run here: mistakes in RUN are left out");
    }
    let mut wrong = Vec::new();
    for mistake in MISTAKES.iter().filter(|mistake| can_run || !mistake.runs) {
        let context = Context::new("mistake");
        let project = context.dir().join("project");
        context.write("project/Dockerfile", mistake.dockerfile);
        for (name, content) in mistake.files {
            context.write(&format!("project/{name}"), content);
        }
        let mut arguments = mistake.flags.to_vec();
        arguments.push(project.to_str().unwrap());
        let output = context.build(arguments);
        let missing: Vec<_> = mistake.says.iter().filter(|part| !output.stderr.contains(**part)).collect();
        if output.code != Some(1) || !missing.is_empty() {
            wrong.push(format!("{}: {missing:?} not in {output}", mistake.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), MISTAKES.len(), wrong.join("\n"));
}

#[test]
fn an_arg_that_came_with_the_base_is_not_blamed() {
    let context = Context::new("mistake-not");
    context.write("Dockerfile", "ARG V=1\nFROM busybox AS base\nARG V\nFROM base\nCOPY missing-$V /\n");
    let output = context.build([context.dir()]).expect_code(1);
    assert!(output.stderr.contains("\"/missing-1\": not found"), "{output}");
    assert!(!output.stderr.contains("repeat"), "{output}");
}

#[test]
fn a_tag_that_a_layout_lacks() {
    let context = Context::new("mistake-tag");
    context.write("Dockerfile", "FROM other\n");
    let layout = format!("other=oci-layout://{}:1.0", testdata("base").display());
    let output = context.build(["--build-context", &layout, context.dir().to_str().unwrap()]).expect_code(1);
    for part in ["Dockerfile:1:1", "has no image tagged `1.0`", "its tags are: latest"] {
        assert!(output.stderr.contains(part), "{part}: {output}");
    }
}

#[test]
fn a_stage_that_is_not_there_is_guessed() {
    let context = Context::new("mistake-stage");
    context.write("Dockerfile", "FROM busybox AS builder\nFROM busybox\nCOPY --from=buidler /a /\n");
    // No registry answers at this place: the name was meant for a stage.
    let flags = ["--build-context", "buidler=docker-image://127.0.0.1:1/buidler"];
    let mut arguments = flags.to_vec();
    arguments.push(context.dir().to_str().unwrap());
    let output = context.build(arguments);
    assert!(output.stderr.contains("did you mean builder?"), "{output}");
}

#[test]
fn a_base_that_cannot_be_had_tells_whose_fault_it_is() {
    let Some(registry) = Registry::start() else { return };
    let context = Context::new("mistake-base");
    let missing = registry.image("none:1");
    for (base, code) in [(missing.as_str(), 1), ("127.0.0.1:1/none", 3)] {
        context.write("Dockerfile", format!("FROM {base}\n"));
        let output = context.build([context.dir()]).expect_code(code);
        assert!(output.stderr.contains("Dockerfile:1:1") && output.stderr.contains(base), "{output}");
    }
    context.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    let output = context.build([Path::new("--platform=linux/amd64,linux/x86_64"), context.dir()]);
    assert!(output.expect_success().stderr.contains("linux/amd64 more than once"));
}

#[test]
fn a_dockerfile_of_another_name_is_found() {
    let context = Context::new("mistake-name");
    context.write("project/Dockerfile.prod", "FROM busybox\n");
    let project = context.dir().join("project");
    let output = context.build([&project]).expect_code(1);
    assert!(output.stderr.contains("has no Dockerfile"), "{output}");
    assert!(output.stderr.contains("Dockerfile.prod?"), "{output}");
}

#[test]
fn a_dockerfile_alone_has_no_files_to_copy() {
    let context = Context::new("mistake-alone");
    let file = context.write("Dockerfile", "FROM busybox\nCOPY a /\n");
    let mut command = context.build_command(["-"]);
    let output = command.stdin(std::fs::File::open(file).unwrap()).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    for part in ["there is no build context to copy from", "-f -"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}
