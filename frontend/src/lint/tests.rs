//! Each rule, and the ways to turn it off.
#![allow(clippy::unwrap_used)]

use super::{Filter, documentation_url, lint, violation_message};
use crate::parser::parse;

/// `Rule line message` of each finding, with the file's own directive.
fn findings(text: &str) -> Vec<String> {
    let file = parse(text.as_bytes()).unwrap();
    let options = file.directives.check.clone().map(|check| check.value).unwrap_or_default();
    lint(&file, &Filter::new(options), &|_| true)
        .into_iter()
        .map(|finding| format!("{} {} {}", finding.rule, finding.span.start_line, finding.message))
        .collect()
}

#[track_caller]
fn expect(text: &str, expected: &[&str]) {
    assert_eq!(findings(text), expected, "{text}");
}

#[test]
fn a_clean_file() {
    expect("ARG V=1\nFROM a:$V AS b\nENV A=1\nRUN x\nCMD [\"y\"]\nFROM b\nCMD [\"z\"]\n", &[]);
}

#[test]
fn stages() {
    expect("FROM a AS Foo\n", &["StageNameCasing 1 Stage name 'Foo' should be lowercase"]);
    expect("FROM a as b\n", &["FromAsCasing 1 'as' and 'FROM' keywords' casing do not match"]);
    expect("from a AS b\n", &["FromAsCasing 1 'AS' and 'from' keywords' casing do not match"]);
    expect(
        "FROM a AS b\nFROM a AS B\n",
        &[
            "DuplicateStageName 2 Duplicate stage name \"b\", stage names should be unique",
            "StageNameCasing 2 Stage name 'B' should be lowercase",
        ],
    );
    expect(
        "FROM a AS scratch\n",
        &["ReservedStageName 1 Stage name should not use the same name as reserved stage \"scratch\""],
    );
}

#[test]
fn casing_of_keywords() {
    expect(
        "FROM a\nrun x\nRUN y\n",
        &[
            "ConsistentInstructionCasing 2 Command 'run' should match the case of the command majority (uppercase)",
        ],
    );
    expect(
        "from a\nrun x\nRun y\n",
        &[
            "ConsistentInstructionCasing 3 Command 'Run' should match the case of the command majority (lowercase)",
        ],
    );
    // A tie is for upper case; global arguments do not vote.
    expect(
        "arg A\narg B\nFROM a\nrun x\n",
        &[
            "ConsistentInstructionCasing 4 Command 'run' should match the case of the command majority (uppercase)",
        ],
    );
}

#[test]
fn instructions() {
    expect("FROM a\nRUN x \\\n\n  y\n", &["NoEmptyContinuation 4 Empty continuation line"]);
    expect(
        "FROM a\nMAINTAINER x\n",
        &["MaintainerDeprecated 2 Maintainer instruction is deprecated in favor of using label"],
    );
    expect(
        "FROM a\nCMD [\"x\"]\nENTRYPOINT [\"x\"]\nCMD [\"y\"]\n",
        &[
            "MultipleInstructionsDisallowed 2 Multiple CMD instructions should not be used in the same stage because \
           only the last one will be used",
        ],
    );
    expect(
        "FROM a\nENV a b\nLABEL c d\n",
        &[
            "LegacyKeyValueFormat 2 \"ENV key=value\" should be used instead of legacy \"ENV key value\" format",
            "LegacyKeyValueFormat 3 \"LABEL key=value\" should be used instead of legacy \"LABEL key value\" format",
        ],
    );
}

#[test]
fn secrets() {
    for name in ["API_TOKEN", "key", "db_password", "SECRET_X", "AUTH"] {
        expect(
            &format!("FROM a\nARG {name}\n"),
            &[&format!(
                "SecretsUsedInArgOrEnv 2 Do not use ARG or ENV instructions for sensitive data (ARG \"{name}\")"
            )],
        );
    }
    for name in ["TOKENS", "PUBLIC_KEY", "SECRET_FILE", "TOKEN_VERSION", "MONKEY", "KEYS"] {
        expect(&format!("FROM a\nENV {name}=x\n"), &[]);
    }
}

#[test]
fn bases_with_nothing_but_defaults() {
    let rule = |line, base| {
        format!(
            "InvalidDefaultArgInFrom {line} Default value for ARG {base} results in empty or invalid base image name"
        )
    };
    expect("ARG TAG\nFROM a:$TAG\n", &[&rule(2, "a:$TAG")]);
    expect("ARG BASE\nFROM $BASE\n", &[&rule(2, "$BASE")]);
    expect("ARG TAG=1\nARG T=$TAG.2\nFROM a:$T\nFROM a:${X:-y}\n", &[]);
}

#[test]
fn platforms() {
    expect(
        "FROM --platform=$TARGETPLATFORM a\n",
        &[
            "RedundantTargetPlatform 1 Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is \
           the default behavior",
        ],
    );
    let constant = "FromPlatformFlagConstDisallowed 1 FROM --platform flag should not use constant value \"linux/amd64\"";
    expect("FROM --platform=linux/amd64 a AS x\n", &[constant]);
    for text in [
        "FROM --platform=linux/amd64 a AS build-amd64\n",
        "FROM --platform=$BUILDPLATFORM a\n",
        "FROM --platform=linux/$TARGETARCH a\n",
        "FROM --platform=${P:-linux/amd64} a\n",
    ] {
        expect(text, &[]);
    }
}

#[test]
fn descriptions_are_an_experiment() {
    let text = "# v is a thing\nARG v=1\n# nothing\nARG w=1 x=2\n# it builds\nFROM a AS b\n";
    expect(text, &[]);
    expect(
        &format!("# check=experimental=all\n{text}"),
        &[
            "InvalidDefinitionDescription 5 Comment for ARG should follow the format: `# <arg_key> <description>`",
            "InvalidDefinitionDescription 7 Comment for FROM should follow the format: `# b <description>`",
        ],
    );
}

#[test]
fn skipping() {
    let text = "FROM a AS B\nENV a b\n";
    expect(&format!("# check=skip=StageNameCasing,LegacyKeyValueFormat\n{text}"), &[]);
    expect(&format!("# check=skip=all\n{text}"), &[]);
    expect("# note\n# check=skip=StageNameCasing\nFROM a AS B\n# check=skip=all\nENV a b\n", &[]);
    assert_eq!(findings("FROM a\n# check=skip=all\nENV a=1\nENV a b\n").len(), 1);
}

#[test]
fn stages_that_are_not_built() {
    let file = parse(b"FROM a AS B\nENV a b\n").unwrap();
    let findings = lint(&file, &Filter::default(), &|_| false);
    assert_eq!(findings.iter().map(|finding| finding.rule).collect::<Vec<_>>(), ["StageNameCasing"]);
}

#[test]
fn pages_and_messages() {
    let page = |rule: &str| documentation_url(rule).unwrap();
    assert_eq!(
        page("NoEmptyContinuation"),
        "https://docs.docker.com/go/dockerfile/rule/no-empty-continuation/"
    );
    assert_eq!(
        page("JSONArgsRecommended"),
        "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
    );
    assert_eq!(
        page("SecretsUsedInArgOrEnv"),
        "https://docs.docker.com/go/dockerfile/rule/secrets-used-in-arg-or-env/"
    );
    assert_eq!(documentation_url("InvalidBaseImagePlatform"), None);
    assert_eq!(violation_message(["A", "B", "A"]), "lint violation found for rules: A, B");
}
