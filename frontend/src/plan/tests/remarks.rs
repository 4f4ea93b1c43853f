//! Findings of a whole file: rules of the tree and of the planner together, and Cooper's own rules both ways.

use super::{Images, options, with_args};
use crate::graph::PlanOptions;
use crate::lint::{Filter, all_findings};
use crate::parser::parse;
use crate::plan::{Noticed, plan_and_notice};

/// `Rule line` of each finding, whether planning succeeded or not.
fn findings_with(text: &str, options: &PlanOptions) -> Vec<String> {
    let file = parse(text.as_bytes()).unwrap();
    let check = file.directives.check.clone().map(|check| check.value).unwrap_or_default();
    let mut noticed = Noticed::default();
    let _ = plan_and_notice(&file, options, &Images::new(), &mut noticed);
    let given = |name: &str| options.build_args.iter().any(|(key, _)| key == name);
    all_findings(&file, &Filter::new(check), &noticed, &given)
        .into_iter()
        .map(|finding| format!("{} {}", finding.rule, finding.span.map_or(0, |span| span.start_line)))
        .collect()
}

fn findings(text: &str) -> Vec<String> {
    findings_with(text, &options())
}

#[track_caller]
fn finds(text: &str, expected: &[&str]) {
    assert_eq!(findings(text), expected, "{text}");
}

const APT: &str = "RUN apt-get update && apt-get install -y curl\n";

#[test]
fn tree_and_plan_are_one_list() {
    let text = "FROM busybox AS Base\nWORKDIR app\nENV a b\nCMD x$Y\nLABEL v=$Z\n";
    finds(
        text,
        &[
            "StageNameCasing 1",
            "WorkdirRelativePath 2",
            "LegacyKeyValueFormat 3",
            "JSONArgsRecommended 4",
            "UndefinedVar 5",
        ],
    );
    finds(&format!("# check=skip=all\n{text}"), &[]);
    finds("FROM busybox\n# check=skip=WorkdirRelativePath\nWORKDIR app\n", &[]);
    finds("# check=skip=JSONArgsRecommended\nFROM busybox\nCMD x\n", &[]);
}

#[test]
fn what_was_noticed_before_an_error_is_kept() {
    finds(
        "FROM scratch AS BadName\nFROM ${BAR} AS base\n",
        &["StageNameCasing 1", "InvalidDefaultArgInFrom 2", "UndefinedArgInFrom 2"],
    );
    finds("FROM busybox\nWORKDIR app\nEXPOSE nothing\n", &["WorkdirRelativePath 2"]);
}

#[test]
fn stages_that_are_not_needed_are_checked_as_far_as_they_parse() {
    finds("FROM nowhere AS Other\nWORKDIR app\nENV a b\nFROM busybox\n", &["StageNameCasing 1"]);
}

#[test]
fn an_arg_above_steps_that_do_not_use_it() {
    let rule = ["CooperArgBustsCache 2"];
    finds(&format!("FROM busybox\nARG GIT_SHA\n{APT}LABEL sha=$GIT_SHA\n"), &rule);
    finds(&format!("FROM busybox\nARG VERSION\n{APT}RUN echo $VERSION\n"), &rule);
    finds(&format!("FROM busybox\nARG GIT_COMMIT=unknown\n{APT}"), &rule);
    // Without a change there is no miss.
    finds(&format!("FROM busybox\nARG VERSION=1\n{APT}RUN echo $VERSION\n"), &[]);
    let given = with_args(&[("VERSION", "2")]);
    assert_eq!(
        findings_with(&format!("FROM busybox\nARG VERSION=1\n{APT}RUN echo $VERSION\n"), &given),
        rule
    );
    for silent in [
        // Used at once, or by a program that nobody can look into.
        "ARG V\nRUN echo $V\nRUN apt-get update && apt-get install -y x\n",
        "ARG V\nRUN make\nRUN apt-get update && apt-get install -y x\n",
        "ARG V\nRUN curl $(./mirror)\n",
        // Read by programs on their own, or there to change the key.
        "ARG DEBIAN_FRONTEND\nRUN apt-get update && apt-get install -y x\n",
        "ARG NPM_CONFIG_REGISTRY\nRUN npm ci\n",
        "ARG CACHE_DATE\nRUN git clone https://git.example/x\n",
        "ARG HTTPS_PROXY\nRUN curl https://x.example\n",
        "ARG TARGETARCH\nRUN apt-get update && apt-get install -y x\n",
        // Below.
        "RUN apt-get update && apt-get install -y x\nARG V\nRUN echo $V\n",
        "ARG V\nENV V=$V\nRUN mkdir /x\n",
        "# check=skip=CooperArgBustsCache\nARG V\nRUN mkdir /x\n",
    ] {
        finds(&format!("FROM busybox\n{silent}"), &[]);
    }
    // A name that says secret is another rule's matter, and read by tools through files.
    finds("FROM busybox\nARG NPM_TOKEN\nRUN npm ci\n", &["SecretsUsedInArgOrEnv 2"]);
    finds("ARG V=1\nFROM busybox\nARG V\nRUN mkdir /x\n", &[]);
}

#[test]
fn a_layer_stored_twice() {
    for text in [
        "COPY . /app\nRUN chown -R 1000:1000 /app\n",
        "WORKDIR /app\nCOPY a b ./\nRUN adduser x && chown -R x .\n",
        "ENV HOME=/srv\nCOPY a $HOME/a\nRUN chmod -R u+rwX $HOME\n",
        "ADD a.tar /opt/x/\nRUN [\"chown\", \"-hR\", \"app\", \"/opt\"]\n",
        "COPY . /app\nRUN <<EOF\nset -e\nchmod --recursive 755 /app\nEOF\n",
    ] {
        let found = findings(&format!("FROM busybox\n{text}"));
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with("CooperLayerDoubled"), "{found:?}");
    }
    for silent in [
        "COPY --chown=1000 . /app\n",
        "COPY . /app\nRUN chown 1000 /app/file\n",
        "COPY . /app\nRUN mkdir /data && chown -R 1000 /data /application\n",
        "COPY . /app\nRUN chown -R 1000 /app/data\n",
        "RUN chown -R 1000 /app\nCOPY . /app\n",
        "COPY . /app\nRUN chown -R 1000 $UNKNOWN\n",
        "COPY . /app\nRUN echo chown -R 1000 /app\n",
        "COPY . /app\n# check=skip=CooperLayerDoubled\nRUN chown -R 1000 /app\n",
    ] {
        finds(&format!("FROM busybox\n{silent}"), &[]);
    }
    // The files of another stage are in layers that are not changed here.
    finds("FROM busybox AS a\nCOPY . /app\nFROM busybox\nRUN chown -R 1 /app\n", &[]);
}

#[test]
fn values_that_are_secrets() {
    let token = format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
    finds(&format!("FROM busybox\nENV GH={token}\n"), &["CooperSecretValue 2"]);
    finds(&format!("FROM busybox\nARG GH={token}\n"), &["CooperSecretValue 2"]);
    finds(&format!("FROM busybox\n# check=skip=CooperSecretValue\nENV GH={token}\n"), &[]);
    let given = with_args(&[("GH", &token)]);
    assert_eq!(findings_with("FROM busybox\nARG GH\n", &given), ["CooperSecretValue 2"]);
    finds("FROM busybox\nARG GH\nENV GREETING=hello\n", &[]);
}

#[test]
fn the_value_of_a_secret_is_not_told() {
    let token = format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
    let file = parse(format!("FROM busybox\nENV GH={token}\n").as_bytes()).unwrap();
    let mut noticed = Noticed::default();
    plan_and_notice(&file, &options(), &Images::new(), &mut noticed).unwrap();
    assert!(noticed.warnings.iter().all(|warning| !warning.message.contains("a1B2")));
}

#[test]
fn apt_update_alone() {
    for text in ["RUN apt-get update\n", "RUN apt-get -qq update -y\n", "RUN set -e; apt update\n"] {
        finds(&format!("FROM busybox\n{text}"), &["CooperAptUpdateAlone 2"]);
    }
    for silent in [
        APT,
        "RUN apt-get update; apt-get upgrade -y\n",
        "RUN apt-get update && ./install-packages.sh\n",
        "RUN --mount=type=cache,target=/var/lib/apt apt-get update\n",
        "RUN echo apt-get update\n",
        "RUN brew update\n",
        "# check=skip=CooperAptUpdateAlone\nRUN apt-get update\n",
    ] {
        finds(&format!("FROM busybox\n{silent}"), &[]);
    }
}

#[test]
fn every_rule_that_is_reported_has_a_description() {
    for text in [
        "FROM busybox\nRUN apt-get update\n",
        "FROM busybox\nCOPY . /a\nRUN chown -R 1 /a\n",
        "FROM busybox\nARG V\nRUN mkdir /x\n",
        "FROM busybox AS B\nENV a b\nMAINTAINER x\nCMD a\nCMD b\nEXPOSE 1:1\nEXPOSE 1/TCP\nWORKDIR x\n",
    ] {
        for finding in findings(text) {
            let rule = finding.split(' ').next().unwrap();
            assert!(crate::lint::description(rule).is_some(), "{rule}");
            assert_eq!(crate::lint::counts_as_violation(rule), !rule.starts_with("Cooper"), "{rule}");
        }
    }
}

#[test]
fn args_of_the_target() {
    let text = "ARG inherited=box\nARG inherited2=box2\nARG unused=abc${inherited2}\nARG sfx=usr-${inherited2}\n\
                FROM busy${inherited} AS first\nARG FOO=123\nARG BAR=456\nRUN true\nFROM nowhere${unused} AS second\n\
                ARG BAZ\nFROM scratch\nARG ABC\nARG sfx\nCOPY --from=first /etc/passwd /\n";
    let options = with_args(&[("ABC", "a")]);
    let graph = super::planned_with(text, &options);
    let mut args: Vec<_> = graph
        .args
        .iter()
        .map(|arg| {
            format!("{}={} {}", arg.name, arg.value.as_deref().unwrap_or_default(), arg.span.start_line)
        })
        .collect();
    args.sort();
    assert_eq!(args, ["ABC=a 12", "BAR=456 7", "FOO=123 6", "inherited=box 1", "sfx=usr-box2 13"]);
}
